package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
	"latchkey/app/bolt"
	"latchkey/app/registrations" // the example
	"latchkey/app/sessions"
	"latchkey/config"
)

// checkable returns a file with an account, Ann, and a session of hers.
func checkable(t *testing.T) (path string, ann accounts.Account) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "x.db")
	db, err := bolt.Open(path, bolt.Options{Limits: sessions.Limits{Idle: time.Hour, Lifetime: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	ann = accounts.Account{ID: accounts.NewID(), Name: accounts.StoredName("Ann", "ann"), Hash: "a secret", Created: now}
	err = errors.Join(
		db.Accounts().Create(t.Context(), ann),
		db.Sessions().Begin(t.Context(), sessions.KeyOf("id"), sessions.Key{}, sessions.Session{Account: sessions.Account(ann.ID), Began: now, Seen: now}, []byte("a secret")),
		db.Registrations().Insert(t.Context(), registrations.Registration{ID: registrations.ID{1}, Owner: ann.ID, Sport: "Climbing", At: now}),
		db.Close(),
	)
	if err != nil {
		t.Fatal(err)
	}
	return path, ann
}

func checkJSON(t *testing.T, path string) (content map[string]json.RawMessage, tables map[string][]map[string]any, text string, err error) {
	t.Helper()
	var out bytes.Buffer
	err = check(t.Context(), config.Command{Settings: config.Settings{Database: path}, JSON: true}, &out)
	if wrong := json.Unmarshal(out.Bytes(), &content); wrong != nil {
		t.Fatalf("%v:\n%s", wrong, out.String())
	}
	if wrong := json.Unmarshal(content["tables"], &tables); wrong != nil {
		t.Fatalf("%v:\n%s", wrong, content["tables"])
	}
	return content, tables, out.String(), err
}

// As JSON, check writes what is in a file, and no secret of it (ASVS 14.2.2).
func TestCheckWritesWhatIsInTheFile(t *testing.T) {
	path, ann := checkable(t)
	content, tables, text, err := checkJSON(t, path)
	if err != nil {
		t.Error(err)
	}
	if string(content["accounts"]) != "1" || string(content["sessions"]) != "1" || string(content["problems"]) != "[]" || string(content["more"]) != "0" {
		t.Errorf("%s", text)
	}
	for table, want := range map[string]map[string]string{
		"accounts":      {"ID": ann.ID.String(), "Name": "Ann"},
		"sessions":      {"Account": ann.ID.String()},
		"registrations": {"Owner": ann.ID.String(), "Sport": "Climbing"},
	} {
		for field, value := range want {
			if records := tables[table]; len(records) != 1 || records[0][field] != value {
				t.Errorf("%s: %v, want one with %s %s", table, records, field, value)
			}
		}
	}
	if strings.Contains(text, "a secret") {
		t.Errorf("it has a secret:\n%s", text)
	}
}

// Of a damaged record the rest of the file is written all the same.
func TestCheckWritesProblems(t *testing.T) {
	path, ann := checkable(t)
	file, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("accounts")).Put(ann.ID[:], []byte("nonsense"))
	}), file.Close()); err != nil {
		t.Fatal(err)
	}
	content, tables, text, err := checkJSON(t, path)
	if err == nil || !strings.Contains(err.Error(), "damaged") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
	if string(content["problems"]) == "[]" || len(tables["accounts"]) != 0 || len(tables["sessions"]) != 1 {
		t.Errorf("%s", text)
	}
}

func TestCheckOfAnEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if content, tables, text, err := checkJSON(t, path); err != nil || len(tables) != 0 || string(content["accounts"]) != "0" {
		t.Errorf("%v:\n%s", err, text)
	}
}
