// A service whose callers need an API key, with net/http: it asks rndrkit about each request.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	timeout     = time.Second
	maxAnswer   = 1 << 16
	maxText     = 1024
	unavailable = `{"type":"urn:rndrkit:problem:unavailable","title":"Temporarily unavailable","status":503,` +
		`"code":"unavailable",` +
		`"detail":"The API key could not be checked just now. This says nothing about your key; try again.",` +
		`"error":"The API key could not be checked just now. This says nothing about your key; try again."}`
)

// An account is whose key a request came with.
type Account struct {
	ID         string  `json:"id"`
	ExternalID *string `json:"external_id"`
}

type answer struct {
	Valid   bool              `json:"valid"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Problem json.RawMessage   `json:"problem"`
	Account *Account          `json:"account"`
}

type keys struct {
	url, token string
	http       http.Client
}

func newKeys(url, token string) *keys {
	return &keys{url: strings.TrimSuffix(url, "/") + "/v1/keys/verify", token: token, http: http.Client{
		Timeout: timeout,
		// Neither a proxy from the environment nor a redirect gets the token to see.
		Transport:     &http.Transport{MaxIdleConnsPerHost: 100, IdleConnTimeout: 20 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func cut(text string) string {
	if len(text) > maxText {
		return text[:maxText]
	}
	return text
}

// verify asks, and keeps no answer: a key that is deleted now is refused on the next request.
func (k *keys) verify(r *http.Request) (*answer, error) {
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return nil, err
	}
	question, err := json.Marshal(map[string]any{
		// Longer is no key. Of several headers all are sent on, with commas, which rndrkit refuses.
		"secret":  cut(strings.Join(r.Header.Values("X-Api-Key"), ", ")),
		"context": map[string]string{"ip": ip, "method": cut(r.Method), "path": cut(r.URL.EscapedPath())},
	})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, k.url, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+k.token)
	request.Header.Set("Content-Type", "application/json")
	reply, err := k.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	// To its end: only then can the connection be used again.
	body, err := io.ReadAll(io.LimitReader(reply.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if reply.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("rndrkit answered %s", reply.Status)
	}
	var decided answer
	if err := json.Unmarshal(body, &decided); err != nil {
		return nil, err
	}
	if decided.Valid == (decided.Status >= 400) || (decided.Valid && decided.Account == nil) {
		return nil, errors.New("this is not an answer of rndrkit")
	}
	return &decided, nil
}

type accountKey struct{}

func (k *keys) require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		decided, err := k.verify(r)
		if err != nil {
			log.Printf("API keys cannot be checked: %v", err)
			// Never 401: the caller's key may be as good as ever.
			headers := map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store", "Retry-After": "1"}
			decided = &answer{Status: http.StatusServiceUnavailable, Headers: headers, Problem: json.RawMessage(unavailable)}
		}
		for name, value := range decided.Headers {
			w.Header().Set(name, value)
		}
		if !decided.Valid {
			w.WriteHeader(decided.Status)
			w.Write(decided.Problem)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), accountKey{}, decided.Account)))
	})
}

func reports(w http.ResponseWriter, r *http.Request) {
	account := r.Context().Value(accountKey{}).(*Account)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]string{"account_id": account.ID})
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	token := os.Getenv("KEYS_TOKEN")
	if token == "" {
		log.Fatal("set KEYS_TOKEN to a token of scope verify")
	}
	keys := newKeys(setting("KEYS_URL", "http://127.0.0.1:8081"), token)
	api := http.NewServeMux()
	api.HandleFunc("/api/reports", reports)
	mux := http.NewServeMux()
	mux.Handle("/api/", keys.require(api))
	server := &http.Server{Addr: "127.0.0.1:" + setting("PORT", "3000"), Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}
