// cometbft-load-test for a dchat chain: its client factory, written outside its tree, signs payments in Go.
//
//	DCHAT_LOAD_SEED=TEXT go run . addresses N        the accounts that N connections need: give each some DCHAT
//	DCHAT_LOAD_SEED=TEXT go run . -c N -T SECONDS -r RATE --endpoints ws://HOST:PORT/websocket
//
// Everything else is cometbft-load-test's own (--help). Connection i pays from account i of the seed, 1 udchat at a
// time, to one account more; it goes on from the sequence that the chain has of its key. A second program beside it
// begins with another account: DCHAT_LOAD_FIRST. The gas price is a new chain's (100000 udchat for a million gas), or
// DCHAT_LOAD_GAS_PRICE. What is on its way when the tool leaves is lost, as with any chain: its last send period is the
// time that a node has for it. An envelope's fields: docs/wire-format.md.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/cometbft/cometbft-load-test/pkg/loadtest"
)

const (
	laneCurrency = 2
	gasLimit     = 30_000 // of a payment: never too low
	gasPrice     = 100_000
	gasPerMgas   = 1_000_000
	expiryBlocks = 100_000
	answerMax    = 1 << 20
)

func hash(parts ...[]byte) []byte {
	digest := sha256.Sum256(bytes.Join(parts, nil))
	return digest[:]
}

// ------------------------------------------------------------------------------------------------ protobuf

func sub(number int, content []byte) []byte {
	out := binary.AppendUvarint(nil, uint64(number)<<3|2)
	return append(binary.AppendUvarint(out, uint64(len(content))), content...)
}

func whole(number int, value uint64) []byte {
	if value == 0 {
		return nil
	}
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3), value)
}

func message(fields ...[]byte) []byte { return bytes.Join(fields, nil) }

// each calls back with every field of a message that has numbers and bytes alone, as records have.
func each(data []byte, field func(number, value uint64, content []byte)) error {
	for len(data) > 0 {
		key, size := binary.Uvarint(data)
		value, more := binary.Uvarint(data[max(size, 0):])
		if size <= 0 || more <= 0 {
			return errors.New("a record that is cut off")
		}
		data = data[size+more:]
		switch {
		case key&7 == 0:
			field(key>>3, value, nil)
		case key&7 == 2 && value <= uint64(len(data)):
			field(key>>3, 0, data[:value])
			data = data[value:]
		default:
			return errors.New("a record of another form")
		}
	}
	return nil
}

// ------------------------------------------------------------------------------------------------ accounts

type account struct {
	key                     ed25519.PrivateKey
	public, policy, address []byte
}

// accountOf is the seed's account `name`: a number of a connection, or where payments go.
func accountOf(seed, name string) account {
	key := ed25519.NewKeyFromSeed(hash([]byte("dchat load test/"), []byte(seed), []byte("/"), []byte(name)))
	public := []byte(key.Public().(ed25519.PublicKey))
	policy := sub(1, public)
	return account{key, public, policy, hash([]byte("dchat/address"), policy)[:20]}
}

const (
	alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l" // bech32, BIP-173
	prefix   = "dchat"
)

// textOf is an address as people see it: 160 bits are 32 groups of 5, and 6 groups more check them.
func textOf(address []byte) string {
	groups, held, waiting := []byte{}, uint32(0), 0
	for _, one := range address {
		held, waiting = held<<8|uint32(one), waiting+8
		for ; waiting >= 5; waiting -= 5 {
			groups = append(groups, byte(held>>(waiting-5)&31))
		}
	}
	checked := []byte{}
	for _, char := range []byte(prefix) {
		checked = append(checked, char>>5)
	}
	checked = append(checked, 0)
	for _, char := range []byte(prefix) {
		checked = append(checked, char&31)
	}
	check := uint32(1)
	for _, one := range append(append(checked, groups...), make([]byte, 6)...) {
		top := check >> 25
		check = (check&0x1ffffff)<<5 ^ uint32(one)
		for bit, part := range []uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>bit&1 == 1 {
				check ^= part
			}
		}
	}
	for place := 5; place >= 0; place-- {
		groups = append(groups, byte((check^1)>>(5*place)&31))
	}
	text := []byte(prefix + "1")
	for _, one := range groups {
		text = append(text, alphabet[one])
	}
	return string(text)
}

func (a account) payment(chainID string, recipient []byte, sequence, fee, expiry uint64) []byte {
	paid := sub(1, message(sub(1, a.address), sub(2, recipient), whole(3, 1)))
	signer := message(sub(1, a.address), sub(2, a.policy), sub(3, a.public), whole(4, sequence))
	body := message(
		sub(1, []byte(chainID)), whole(2, laneCurrency), sub(3, paid), sub(4, signer),
		whole(6, gasLimit), whole(7, fee), whole(8, expiry),
	)
	signature := ed25519.Sign(a.key, hash([]byte("dchat/tx/v1"), body))
	return message(sub(1, body), sub(2, message(sub(2, a.public), sub(3, signature))))
}

// ------------------------------------------------------------------------------------------------ the chain

func ask(endpoint, method string, params, result any) error {
	url := "http" + strings.TrimPrefix(strings.TrimSuffix(endpoint, "/websocket"), "ws")
	asked, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return err
	}
	answer, err := http.Post(url, "application/json", bytes.NewReader(asked))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var told struct {
		Result json.RawMessage
		Error  json.RawMessage
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, answer.Body, answerMax)).Decode(&told); err != nil {
		return err
	}
	if told.Error != nil {
		return fmt.Errorf("%s: %s", method, told.Error)
	}
	return json.Unmarshal(told.Result, result)
}

// nextSequence of the account's key. An account that is not there cannot pay.
func nextSequence(endpoint string, of account) (uint64, error) {
	var told struct{ Response struct{ Value []byte } }
	key := hex.EncodeToString(append([]byte("a"), of.address...))
	if err := ask(endpoint, "abci_query", map[string]any{"path": "/store/currency/key", "data": key}, &told); err != nil {
		return 0, err
	}
	if len(told.Response.Value) == 0 {
		return 0, fmt.Errorf("account %s has no DCHAT: pay it some first", textOf(of.address))
	}
	next := uint64(0)
	err := each(told.Response.Value, func(number, _ uint64, entry []byte) {
		if number != 4 {
			return
		}
		isOurs := false
		_ = each(entry, func(number, value uint64, content []byte) {
			isOurs = isOurs || number == 1 && bytes.Equal(content, of.public)
			if isOurs && number == 2 {
				next = value
			}
		})
	})
	return next, err
}

// ------------------------------------------------------------------------------------------------ the load test's

type factory struct{ connections atomic.Uint64 }

type client struct {
	from             account
	chainID          string
	to               []byte
	sequence         uint64
	fee, expiryBlock uint64
}

func numberOf(variable string, otherwise uint64) (uint64, error) {
	said := os.Getenv(variable)
	if said == "" {
		return otherwise, nil
	}
	number, err := strconv.ParseUint(said, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", variable, err)
	}
	return number, nil
}

func (f *factory) ValidateConfig(loadtest.Config) error {
	if os.Getenv("DCHAT_LOAD_SEED") == "" {
		return errors.New("DCHAT_LOAD_SEED is not set: a text that accounts are made from")
	}
	return nil
}

func (f *factory) NewClient(config loadtest.Config) (loadtest.Client, error) {
	seed, endpoint := os.Getenv("DCHAT_LOAD_SEED"), config.Endpoints[0]
	first, err := numberOf("DCHAT_LOAD_FIRST", 0)
	if err != nil {
		return nil, err
	}
	price, err := numberOf("DCHAT_LOAD_GAS_PRICE", gasPrice)
	if err != nil {
		return nil, err
	}
	from := accountOf(seed, strconv.FormatUint(first+f.connections.Add(1)-1, 10))
	var status struct {
		NodeInfo struct{ Network string } `json:"node_info"`
		SyncInfo struct {
			Height uint64 `json:"latest_block_height,string"`
		} `json:"sync_info"`
	}
	if err := ask(endpoint, "status", map[string]any{}, &status); err != nil {
		return nil, err
	}
	sequence, err := nextSequence(endpoint, from)
	if err != nil {
		return nil, err
	}
	fee := (gasLimit*price + gasPerMgas - 1) / gasPerMgas
	expiry := status.SyncInfo.Height + expiryBlocks
	return &client{from, status.NodeInfo.Network, accountOf(seed, "recipient").address, sequence, fee, expiry}, nil
}

// GenerateTx is called by one goroutine of its connection.
func (c *client) GenerateTx() ([]byte, error) {
	tx := c.from.payment(c.chainID, c.to, c.sequence, c.fee, c.expiryBlock)
	c.sequence++
	return tx, nil
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "addresses" {
		count, err := strconv.ParseUint(os.Args[2], 10, 16)
		if err != nil || os.Getenv("DCHAT_LOAD_SEED") == "" {
			fmt.Fprintln(os.Stderr, "DCHAT_LOAD_SEED=TEXT addresses N")
			os.Exit(1)
		}
		for number := range count {
			fmt.Println(textOf(accountOf(os.Getenv("DCHAT_LOAD_SEED"), strconv.FormatUint(number, 10)).address))
		}
		return
	}
	if err := loadtest.RegisterClientFactory("dchat", &factory{}); err != nil {
		panic(err)
	}
	loadtest.Run(&loadtest.CLIConfig{
		AppName:              "dchat-load-test",
		AppShortDesc:         "Load testing of a dchat chain by signed payments",
		DefaultClientFactory: "dchat",
	})
}
