package catalog

import "unicode/utf8"

// maxDetail is how many bytes of an explanation are kept: it must always fit where
// it is recorded, or what it explains never ends.
const maxDetail = 4 << 10

// Brief cuts an explanation that is too long to be kept, between two characters.
func Brief(detail string) string {
	if len(detail) <= maxDetail {
		return detail
	}
	cut := maxDetail
	for cut > 0 && !utf8.RuneStart(detail[cut]) {
		cut--
	}
	return detail[:cut] + " …"
}
