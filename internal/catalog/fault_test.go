package catalog_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longrun-dev/longrun/internal/catalog"
)

func TestFaultsReadWell(t *testing.T) {
	require.EqualError(t, &catalog.Fault{Code: catalog.Conflict}, "conflict")
	require.EqualError(t, catalog.Faultf(catalog.NotFound, "there is no %q", "x"), `not-found: there is no "x"`)
	require.EqualError(t, &catalog.Fault{Code: catalog.Rejected, Reason: "too-high", Detail: "101"}, "rejected (too-high): 101")
}

// Faults cross borders as data: these names are a contract.
func TestFaultsAreData(t *testing.T) {
	f := catalog.Fault{Code: catalog.Invalid, Reason: "r", Detail: "d", Fields: []catalog.Field{{Field: "amount", Message: "must not be 0"}}}
	data, err := json.Marshal(f)
	require.NoError(t, err)
	require.JSONEq(t, `{"code":"invalid","reason":"r","detail":"d","errors":[{"field":"amount","message":"must not be 0"}]}`, string(data))
	var back catalog.Fault
	require.NoError(t, json.Unmarshal(data, &back))
	require.Equal(t, f, back)
}

func TestVerdictsHaveNames(t *testing.T) {
	require.Equal(t, "undecided", catalog.Verdict(0).String())
	require.Equal(t, "included", catalog.Included.String())
	require.Equal(t, "excluded", catalog.Excluded.String())
}
