// Checks proofs with the Go package of ICS-23, the authority for existence and absence.
// Reads a JSON list of cases (bytes in hex) from stdin and writes a JSON list of verdicts.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	ics23 "github.com/cosmos/ics23/go"
)

type testCase struct {
	Spec  string  `json:"spec"`
	Proof string  `json:"proof"`
	Root  string  `json:"root"`
	Key   string  `json:"key"`
	Value *string `json:"value"` // null claims absence
}

var specs = map[string]*ics23.ProofSpec{"smt": ics23.SmtSpec, "simple": ics23.TendermintSpec}

func unhex(text string) []byte {
	data, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return data
}

// verify answers "ok", or why the proof was refused.
func verify(c testCase) (verdict string) {
	defer func() {
		if reason := recover(); reason != nil { // the package panics on some malformed neighbours
			verdict = fmt.Sprint("panic: ", reason)
		}
	}()
	var proof ics23.CommitmentProof
	if err := proof.Unmarshal(unhex(c.Proof)); err != nil {
		return err.Error()
	}
	spec, root, key := specs[c.Spec], unhex(c.Root), unhex(c.Key)
	accepted := false
	if c.Value == nil {
		accepted = ics23.VerifyNonMembership(spec, root, &proof, key)
	} else {
		accepted = ics23.VerifyMembership(spec, root, &proof, key, unhex(*c.Value))
	}
	if !accepted {
		return "refused"
	}
	return "ok"
}

func main() {
	var cases []testCase
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	verdicts := make([]string, len(cases))
	for number, c := range cases {
		verdicts[number] = verify(c)
	}
	if err := json.NewEncoder(os.Stdout).Encode(verdicts); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
