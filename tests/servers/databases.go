package servers

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// Postgres is a PostgreSQL server with durable writes, as in production.
type Postgres struct {
	*process
	DSN  string // key=value form, as components take it
	Addr string // host:port
}

// StartPostgres finds the newest PostgreSQL installed and starts it with an empty
// database.
func StartPostgres() (*Postgres, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	as, err := notRoot("postgres")
	if err != nil {
		return nil, err
	}
	addr, port, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p, err := newProcess("postgres")
	if err != nil {
		return nil, err
	}
	if as != nil {
		if err := os.Chown(p.dir, int(as.Uid), int(as.Gid)); err != nil {
			return nil, p.fail(err)
		}
	}
	data := filepath.Join(p.dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = p.dir, &syscall.SysProcAttr{Credential: as}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, p.fail(fmt.Errorf("initdb: %w\n%s", err, out))
	}
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "max_connections=200", "-c", "logging_collector=off")
	server.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	p.signal = syscall.SIGINT // fast shutdown: do not wait for clients
	err = p.start(server, func(log *logFile) <-chan struct{} {
		return log.saw("database system is ready to accept connections")
	})
	if err != nil {
		return nil, p.fail(err)
	}
	return &Postgres{
		process: p, Addr: addr,
		DSN: fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=disable", port),
	}, nil
}

// postgresBin is the folder with the server's programs: Debian keeps them off
// the path, one folder for each version.
func postgresBin() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", &MissingError{"PostgreSQL"}
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return major(a) - major(b) })
	return filepath.Dir(newest), nil
}

// major is the version in .../<version>/bin/initdb.
func major(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 for what is no version
	return n
}

// notRoot is whom a server runs as that refuses to run as root; nil: as we do.
func notRoot(name string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, &MissingError{"the user " + name}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// Redis is a Redis server that writes everything to the disk before it answers.
type Redis struct {
	*process
	Addr string // host:port
}

// StartRedis starts an empty Redis.
func StartRedis() (*Redis, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, &MissingError{"Redis"}
	}
	addr, port, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p, err := newProcess("redis")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(bin, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", p.dir,
		"--appendonly", "yes", "--appendfsync", "always", "--save", "")
	err = p.start(cmd, func(log *logFile) <-chan struct{} { return log.saw("Ready to accept connections") })
	if err != nil {
		return nil, p.fail(err)
	}
	return &Redis{process: p, Addr: addr}, nil
}
