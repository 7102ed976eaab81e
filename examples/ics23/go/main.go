// Verifies what a dchat node answered about one record, with the ICS-23 package of the Cosmos chains and nothing of ours.
//
//	curl "localhost:7071/v1/records/currency/61ADDRESS?prove=true" | go run . currency 61ADDRESS APP_HASH
//
// The steps, and where APP_HASH comes from: docs/proofs.md. Prints the value in hex, or "absent"; exit code 1: not proved.
package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	ics23 "github.com/cosmos/ics23/go"
)

const answerBytesMax = 4 << 20

type answer struct {
	Value *string `json:"value"` // left out: absent
	Proof struct {
		Ops struct {
			Ops []struct {
				Type string `json:"type"`
				Data string `json:"data"`
			} `json:"ops"`
		} `json:"ops"`
	} `json:"proof"`
}

// proof is one operation: an encoded CommitmentProof.
func proof(told answer, number int, kind string) (*ics23.CommitmentProof, error) {
	ops := told.Proof.Ops.Ops
	if len(ops) != 2 || ops[number].Type != kind {
		return nil, fmt.Errorf("expected two operations, number %d of type %s", number, kind)
	}
	data, err := hex.DecodeString(ops[number].Data)
	if err != nil {
		return nil, err
	}
	var found ics23.CommitmentProof
	return &found, found.Unmarshal(data)
}

// verified is the record's value, nil if it is shown to be absent.
func verified(told answer, store string, key, appHash []byte) ([]byte, error) {
	upper, err := proof(told, 1, "ics23:simple")
	if err != nil {
		return nil, err
	}
	lower, err := proof(told, 0, "ics23:smt")
	if err != nil {
		return nil, err
	}
	root := upper.GetExist().GetValue()
	if !ics23.VerifyMembership(ics23.TendermintSpec, appHash, upper, []byte(store), root) {
		return nil, errors.New("the store's root is not under the app hash")
	}
	if told.Value == nil {
		if !ics23.VerifyNonMembership(ics23.SmtSpec, root, lower, key) {
			return nil, errors.New("the record is not shown to be absent")
		}
		return nil, nil
	}
	value, err := hex.DecodeString(*told.Value)
	if err != nil {
		return nil, err
	}
	if !ics23.VerifyMembership(ics23.SmtSpec, root, lower, key, value) {
		return nil, errors.New("the record is not under the store's root")
	}
	return value, nil
}

func run(words []string) error {
	if len(words) != 3 {
		return errors.New("usage: STORE KEY APP_HASH < answer.json (key and hash in hex)")
	}
	key, err := hex.DecodeString(words[1])
	if err != nil {
		return err
	}
	appHash, err := hex.DecodeString(words[2])
	if err != nil || len(appHash) != 32 {
		return errors.New("an app hash has 64 hex characters")
	}
	var told answer
	if err := json.NewDecoder(io.LimitReader(os.Stdin, answerBytesMax)).Decode(&told); err != nil {
		return err
	}
	value, err := verified(told, words[0], key, appHash)
	if err != nil {
		return err
	}
	if value == nil {
		fmt.Println("absent")
	} else {
		fmt.Println(hex.EncodeToString(value))
	}
	return nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "not proved:", err)
		os.Exit(1)
	}
}
