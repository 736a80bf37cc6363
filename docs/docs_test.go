// Package docs checks that what is written for people is true: code is the code
// that CI runs, links lead somewhere, and names of settings and targets exist.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = ".."

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(data)
}

// pages are the Markdown files, by their path in the repository.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, path := range found {
			name, err := filepath.Rel(root, path)
			require.NoError(t, err)
			all[name] = read(t, name)
		}
	}
	require.NotEmpty(t, all)
	return all
}

var included = regexp.MustCompile("(?s)<!-- (\\S+) -->\n```go\n(.*?)\n```\n")

// The parts of a file that the README shows are, put together, the file.
func TestCodeInTheREADMEIsTheExamples(t *testing.T) {
	parts := map[string][]string{}
	for _, m := range included.FindAllStringSubmatch(read(t, "README.md"), -1) {
		parts[m[1]] = append(parts[m[1]], m[2])
	}
	require.Len(t, parts, 3)
	for name, code := range parts {
		require.Equal(t, strings.TrimSpace(read(t, name)), strings.Join(code, "\n\n"), "README.md shows another %s", name)
	}
}

var excerpt = regexp.MustCompile("(?s)<!-- from (\\S+) -->\n```go\n(.*?)\n```\n")

// What the README shows of a file is in it, as it stands.
func TestExcerptsInTheREADMEAreFromTheirFiles(t *testing.T) {
	all := excerpt.FindAllStringSubmatch(read(t, "README.md"), -1)
	require.NotEmpty(t, all)
	for _, m := range all {
		require.Contains(t, read(t, m[1]), m[2], "README.md shows another %s", m[1])
	}
}

var (
	pathName = regexp.MustCompile(`\b(?:docs|app|es|actors|internal|tools|tests|bench|components|examples)/[\w./-]*\w`)
	setting  = regexp.MustCompile(`\bLONGRUN_[A-Z_]+\b`)
	target   = regexp.MustCompile("(?m)(?:`|^ +|\\A)(?:[A-Z]+=\\S+ )?make ([a-z][a-z-]*)")
)

func TestWhatIsNamedExists(t *testing.T) {
	makefile := read(t, "Makefile")
	sources := ""
	for _, pattern := range []string{"app/*.go", "actors/*.go", "tools/up/*.go", "components/*/*.yaml"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, path := range found {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			sources += string(data)
		}
	}
	for page, text := range pages(t) {
		for _, name := range pathName.FindAllString(text, -1) {
			require.FileExists(t, existing(name), "%s names %s", page, name)
		}
		for _, name := range setting.FindAllString(text, -1) {
			if !strings.Contains(sources, name) {
				t.Errorf("%s names the setting %s, which does not exist", page, name)
			}
		}
		for _, m := range target.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s names make %s, which does not exist", page, m[1])
			}
		}
	}
}

// existing is a file that exists only if name does: a folder is as good as a file.
func existing(name string) string {
	path := filepath.Join(root, name)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return filepath.Join(root, "go.mod")
	}
	return path
}
