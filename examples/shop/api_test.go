package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestAPI talks to a running shop; SHOP_API says where, e.g. http://127.0.0.1:8080.
func TestAPI(t *testing.T) {
	api := os.Getenv("SHOP_API")
	if api == "" {
		t.Skip("SHOP_API is not set: no shop to talk to")
	}

	status, answer := call(t, "POST", api+"/commands/shop.receive", `{"sku":"tea-50","pieces":5}`)
	if status != 200 || answer["result"] != 5.0 {
		t.Fatalf("receive: %d %v", status, answer)
	}
	status, answer = call(t, "POST", api+"/commands/shop.sell", `{"sku":"tea-50","pieces":6,"order":"o-1"}`)
	if status != 422 || answer["reason"] != "not-enough" {
		t.Fatalf("sell too many: %d %v", status, answer)
	}
	status, answer = call(t, "POST", api+"/commands/shop.sell", `{"sku":"tea-50","pieces":3,"order":"o-2"}`)
	if status != 200 || answer["result"] != 2.0 {
		t.Fatalf("sell: %d %v", status, answer)
	}
	status, answer = call(t, "GET", api+"/entities/shop.article/tea-50/projections/on-hand", "")
	if status != 200 || answer["state"] != 2.0 || answer["sequence"] != 2.0 {
		t.Fatalf("on-hand: %d %v", status, answer)
	}
	status, answer = call(t, "GET", api+"/entities/shop.article/tea-50/classifications/scarce?than=3", "")
	if status != 200 || answer["result"] != "included" {
		t.Fatalf("scarce: %d %v", status, answer)
	}
}

func call(t *testing.T, method, url, body string) (status int, answer map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return response.StatusCode, answer
}
