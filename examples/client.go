// A client of dchat in one file, for Go 1.24 and later, with the standard library alone: gRPC by hand over HTTP/2,
// protobuf by hand, Ed25519 and SHA-256. Written from docs/wire-format.md, whose words it uses.
//
//	go run client.go address SEED
//	go run client.go pay SEED TO UDCHAT
//	go run client.go open SEED NAME CHANNEL          a bundle: register an identity and open a channel, both or neither
//	go run client.go post SEED CHANNEL TEXT
//	go run client.go prove-account ADDRESS --trust HEIGHT:HASH
//	go run client.go prove-message CHANNEL INDEX --trust HEIGHT:HASH
//
// HEIGHT is of a block that you believe in: 2 or more (it proves the state before it, which block 1 has none of), and no
// older than what the node keeps.
// Options: --node HOST:PORT (127.0.0.1:26670), --chain-id ID (else the node is believed in it: your own node), --memo
// TEXT. SEED is 32 bytes in hex (keep it in a variable, not in your history). What it prints is one line of JSON; exit
// code 1: refused, failed, or not proved.
package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	laneChat, laneCurrency, laneBridge = 1, 2, 3

	gasTransaction, gasByte, gasSignature = 5_000, 10, 6_000
	gasMark, gasReceipt, gasNewRecord     = 2_000, 20_000, 5_000

	expiryBlocks = 200       // within every chain's bound of unordered ones, and soon over for those that got lost
	feeMax       = 1_000_000 // udchat: whatever a node says of the price of gas
	submitTime   = 120 * time.Second
	callTime     = 40 * time.Second
	answerMax    = 64 << 20

	trusted = "of a block that you believe in: block 2 or a later one, no older than what the node keeps"

	notFound = 5 // of gRPC's status codes
)

var errRefused = errors.New("refused")

func hash(parts ...[]byte) []byte {
	digest := sha256.Sum256(bytes.Join(parts, nil))
	return digest[:]
}

// ------------------------------------------------------------------------------------------------ protobuf

// sub is a field that is always written: a sub-message, or one element of a repeated field.
func sub(number int, content []byte) []byte {
	out := binary.AppendUvarint(nil, uint64(number)<<3|2)
	return append(binary.AppendUvarint(out, uint64(len(content))), content...)
}

// text is a field of text or bytes; left out when empty.
func text[T string | []byte](number int, value T) []byte {
	if len(value) == 0 {
		return nil
	}
	return sub(number, []byte(value))
}

// whole is a field of a number; left out when 0.
func whole(number int, value uint64) []byte {
	if value == 0 {
		return nil
	}
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(number)<<3), value)
}

func message(fields ...[]byte) []byte { return bytes.Join(fields, nil) }

type value struct {
	number uint64
	bytes  []byte
}

// fields are a message's values by their field's number, as they came.
type fields map[uint64][]value

func read(data []byte) (fields, error) {
	found := fields{}
	for len(data) > 0 {
		key, size := binary.Uvarint(data)
		if size <= 0 {
			return nil, errors.New("an answer that is no protobuf")
		}
		data = data[size:]
		var one value
		length := uint64(0)
		switch key & 7 {
		case 0:
			one.number, size = binary.Uvarint(data)
		case 1:
			length, size = 8, 0
		case 2:
			length, size = binary.Uvarint(data)
		case 5:
			length, size = 4, 0
		default:
			size = -1
		}
		if size < 0 || (size == 0 && key&7 != 1 && key&7 != 5) || length > uint64(len(data)-size) {
			return nil, errors.New("an answer that is no protobuf")
		}
		one.bytes = data[size : uint64(size)+length]
		data = data[uint64(size)+length:]
		found[key>>3] = append(found[key>>3], one)
	}
	return found, nil
}

func (f fields) last(number uint64) value {
	if many := f[number]; len(many) > 0 {
		return many[len(many)-1]
	}
	return value{}
}

func (f fields) bytes(number uint64) []byte { return f.last(number).bytes }
func (f fields) text(number uint64) string  { return string(f.bytes(number)) }
func (f fields) number(n uint64) uint64     { return f.last(n).number }

// inner reads along a path of sub-messages; what is absent is an empty message.
func (f fields) inner(path ...uint64) (fields, error) {
	var err error
	for _, number := range path {
		if f, err = read(f.bytes(number)); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// ------------------------------------------------------------------------------------------------ gRPC

type node struct {
	address string
	client  *http.Client
}

type statusError struct {
	code    int
	message string
}

func (e statusError) Error() string { return e.message }

func dial(address string) node {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return node{address, &http.Client{Transport: &http.Transport{Protocols: protocols}, Timeout: callTime}}
}

// call is one unary call. Raises a statusError, with gRPC's number (14: no answer).
func (n node) call(method string, request []byte) (fields, error) {
	frame := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(request))), request...)
	asked, err := http.NewRequestWithContext(
		context.Background(), http.MethodPost, "http://"+n.address+"/dchat.v1."+method, bytes.NewReader(frame))
	if err != nil {
		return nil, err
	}
	asked.Header.Set("Content-Type", "application/grpc")
	asked.Header.Set("TE", "trailers")
	answer, err := n.client.Do(asked)
	if err != nil {
		return nil, statusError{14, err.Error()}
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, answerMax))
	if err != nil {
		return nil, statusError{14, err.Error()}
	}
	said := answer.Trailer // an error without an answer has all in the header
	if said.Get("Grpc-Status") == "" {
		said = answer.Header
	}
	code, err := strconv.Atoi(said.Get("Grpc-Status"))
	if err != nil {
		return nil, statusError{14, "an answer without a status"}
	}
	if code != 0 {
		reason, _ := url.PathUnescape(said.Get("Grpc-Message"))
		return nil, statusError{code, fmt.Sprintf("%s: status %d: %s", method, code, reason)}
	}
	if len(data) < 5 || data[0] != 0 || uint64(len(data)-5) != uint64(binary.BigEndian.Uint32(data[1:5])) {
		return nil, statusError{14, "an answer that is not one whole message"}
	}
	return read(data[5:])
}

// ------------------------------------------------------------------------------------------------ accounts

type wallet struct {
	key             ed25519.PrivateKey
	public          []byte
	policy, address []byte
}

func walletOf(seed string) (wallet, error) {
	secret, err := hex.DecodeString(seed)
	if err != nil || len(secret) != ed25519.SeedSize {
		return wallet{}, errors.New("a seed is 32 bytes in hex")
	}
	key := ed25519.NewKeyFromSeed(secret)
	public := []byte(key.Public().(ed25519.PublicKey))
	policy := text(1, public)
	return wallet{key, public, policy, hash([]byte("dchat/address"), policy)[:20]}, nil
}

const (
	alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l" // bech32, BIP-173
	prefix   = "dchat"
)

func checksum(values []byte) uint32 {
	all := []byte{}
	for _, char := range []byte(prefix) {
		all = append(all, char>>5)
	}
	all = append(all, 0)
	for _, char := range []byte(prefix) {
		all = append(all, char&31)
	}
	check := uint32(1)
	for _, one := range append(all, values...) {
		top := check >> 25
		check = (check&0x1ffffff)<<5 ^ uint32(one)
		for bit, part := range []uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>bit&1 == 1 {
				check ^= part
			}
		}
	}
	return check
}

// regroup makes groups of `to` bits of groups of `from`; of an address's 160 both come out even.
func regroup(values []byte, from, to int) []byte {
	out, held, waiting := []byte{}, uint32(0), 0
	for _, one := range values {
		held, waiting = held<<from|uint32(one), waiting+from
		for waiting >= to {
			waiting -= to
			out = append(out, byte(held>>waiting&(1<<to-1)))
		}
	}
	return out
}

func textOfAddress(address []byte) string {
	data := regroup(address, 8, 5)
	check := checksum(append(append([]byte{}, data...), 0, 0, 0, 0, 0, 0)) ^ 1
	for place := 5; place >= 0; place-- {
		data = append(data, byte(check>>(5*place)&31))
	}
	out := []byte(prefix + "1")
	for _, one := range data {
		out = append(out, alphabet[one])
	}
	return string(out)
}

func addressOf(said string) ([]byte, error) {
	if plain, err := hex.DecodeString(said); err == nil && len(plain) == 20 {
		return plain, nil
	}
	rest, isOurs := strings.CutPrefix(said, prefix+"1")
	values := []byte{}
	for _, char := range []byte(rest) {
		values = append(values, byte(strings.IndexByte(alphabet, char)))
	}
	if !isOurs || len(values) != 38 || bytes.IndexByte(values, 255) >= 0 || checksum(values) != 1 {
		return nil, fmt.Errorf("%s is no address: dchat1..., or 20 bytes in hex", said)
	}
	return regroup(values[:32], 5, 8), nil
}

func channelID(name string) []byte { return hash([]byte("dchat/channel" + name))[:20] }

// ------------------------------------------------------------------------------------------------ messages

// leg is an encoded Message, and what it costs beside the rest.
type leg struct {
	encoded []byte
	gas     uint64
}

func payment(sender, recipient []byte, amount uint64) leg {
	return leg{sub(1, message(text(1, sender), text(2, recipient), whole(3, amount))), 3_000}
}

func createChannel(creator []byte, name string, joinPrice uint64, topic string) leg {
	return leg{sub(16, message(text(1, creator), text(2, name), whole(3, joinPrice), text(4, topic))), 33_000}
}

func postMessage(author, channel []byte, content string, replyTo uint64) leg {
	return leg{sub(18, message(text(1, author), text(2, channel), text(3, content), whole(4, replyTo))), 5_000}
}

func registerIdentity(address []byte, name, display string) leg {
	return leg{sub(32, message(text(1, address), text(2, name), text(3, display))), 60_000}
}

// ------------------------------------------------------------------------------------------------ transactions

type plan struct {
	chainID, memo           string
	lane                    uint64
	legs                    []leg
	sequence                uint64 // of an ordered one: all lanes but the bridge
	gasLimit, fee, expiryAt uint64
	needed                  uint64 // the gas that is known to be needed; 0: what this file knows of the messages' prices
}

type transaction struct {
	envelope, id, replayID []byte
	expiryAt               uint64
}

// signed is the envelope of one signer's transaction.
func signed(by wallet, p plan) transaction {
	signer := message(text(1, by.address), sub(2, by.policy))
	unordered := uint64(1)
	if p.lane != laneBridge {
		signer, unordered = message(signer, text(3, by.public), whole(4, p.sequence)), 0
	}
	body := message(text(1, p.chainID), whole(2, p.lane))
	for _, one := range p.legs {
		body = append(body, sub(3, one.encoded)...)
	}
	// fee_payer: 0, the only signer
	body = message(body, sub(4, signer), whole(6, p.gasLimit), whole(7, p.fee), whole(8, p.expiryAt), whole(9, unordered), text(10, p.memo))
	signature := ed25519.Sign(by.key, hash([]byte("dchat/tx/v1"), body))
	envelope := message(text(1, body), sub(2, message(text(2, by.public), text(3, signature))))
	return transaction{envelope, hash(envelope), hash(body), p.expiryAt}
}

var tooLittleGas = regexp.MustCompile(`: tx 17: .*needed: ([0-9]{1,9}) at least`)

func (n node) send(by wallet, p plan) (any, error) {
	tx, err := n.build(by, p)
	if err != nil {
		return nil, err
	}
	told, err := n.submit(tx)
	if err == nil {
		return told, nil
	}
	// Its gas limit is too low by its own bytes: no node can execute it, so that another may be signed.
	if said := tooLittleGas.FindStringSubmatch(err.Error()); said != nil && p.needed == 0 {
		if p.needed, err = strconv.ParseUint(said[1], 10, 64); err == nil {
			return n.send(by, p)
		}
	}
	return nil, err
}

func (n node) build(by wallet, p plan) (transaction, error) {
	status, err := n.call("ChainService/GetStatus", nil)
	if err != nil {
		return transaction{}, err
	}
	told, err := n.call("StateService/GetParams", nil)
	if err != nil {
		return transaction{}, err
	}
	var params struct {
		Currency struct {
			Params struct {
				GasPrice uint64 `json:"gas_price,string"`
			}
		}
	}
	if err := json.Unmarshal(told.bytes(2), &params); err != nil {
		return transaction{}, err
	}
	if p.chainID == "" {
		p.chainID = status.text(2)
	}
	p.expiryAt = status.number(7) + expiryBlocks
	if p.lane != laneBridge {
		if p.sequence, err = n.nextSequence(by, p.lane); err != nil {
			return transaction{}, err
		}
	}
	p.gasLimit, p.fee = 1<<62, 1<<62 // as long as they can be
	gas := uint64(gasTransaction + gasByte*len(signed(by, p).envelope) + gasSignature)
	if p.lane == laneBridge {
		gas += gasMark + gasReceipt
	}
	for _, one := range p.legs {
		gas += one.gas + gasNewRecord
	}
	if p.needed > 0 {
		gas = p.needed + gasNewRecord*uint64(len(p.legs))
	}
	p.gasLimit, p.fee = gas, 0
	if p.lane != laneChat {
		high, low := bits.Mul64(gas, params.Currency.Params.GasPrice)
		if high != 0 || low > feeMax*1_000_000 {
			return transaction{}, fmt.Errorf("%w: the fee would be above %d udchat", errRefused, feeMax)
		}
		p.fee = (low + 999_999) / 1_000_000
	}
	return signed(by, p), nil
}

// nextSequence is the next one of the wallet's key on the lane's machine.
func (n node) nextSequence(by wallet, lane uint64) (uint64, error) {
	method, place := "StateService/GetAccount", uint64(4)
	if lane == laneChat {
		method, place = "StateService/GetIdentity", 5
	}
	answer, err := n.call(method, text(1, by.address))
	if err != nil {
		return 0, err
	}
	record, err := answer.inner(2)
	if err != nil {
		return 0, err
	}
	for _, one := range record[place] {
		entry, err := read(one.bytes)
		if err != nil {
			return 0, err
		}
		if bytes.Equal(entry.bytes(1), by.public) {
			return entry.number(2), nil
		}
	}
	return 0, nil
}

type outcomeLeg struct {
	Kind  string `json:"kind"`
	Index uint64 `json:"index"`
}

type outcome struct {
	ID        string       `json:"id"`
	ReplayID  string       `json:"replay_id"`
	Envelope  string       `json:"envelope"`
	Code      uint64       `json:"code"`
	Codespace string       `json:"codespace"`
	Log       string       `json:"log"`
	Height    uint64       `json:"height"`
	FeePaid   uint64       `json:"fee_paid"`
	Legs      []outcomeLeg `json:"legs"`
}

// outcomeOf reads an answer. places: the numbers of code, codespace, log, height, data.
func outcomeOf(tx transaction, answer fields, places [5]uint64) (outcome, error) {
	receipt, err := answer.inner(places[4])
	if err != nil {
		return outcome{}, err
	}
	legs := []outcomeLeg{}
	for _, one := range receipt[7] {
		told, err := read(one.bytes)
		if err != nil {
			return outcome{}, err
		}
		legs = append(legs, outcomeLeg{told.text(1), told.number(4)})
	}
	return outcome{
		hex.EncodeToString(tx.id), hex.EncodeToString(tx.replayID), hex.EncodeToString(tx.envelope),
		answer.number(places[0]), answer.text(places[1]), answer.text(places[2]), answer.number(places[3]),
		receipt.number(8), legs,
	}, nil
}

// submit hands in, the same bytes again while there is no answer, until a block has them or none will.
func (n node) submit(tx transaction) (outcome, error) {
	until, pause := time.Now().Add(submitTime), 500*time.Millisecond
	for ; time.Now().Before(until); pause = min(8*time.Second, 2*pause) {
		answer, err := n.call("TxService/Broadcast", message(text(1, tx.envelope), whole(2, 1)))
		var status statusError
		switch {
		case err == nil:
			told, err := outcomeOf(tx, answer, [5]uint64{2, 3, 4, 5, 7})
			if err != nil || told.Height > 0 {
				return told, err
			}
			isLater := told.Codespace == "mempool" && (told.Code >= 2 && told.Code <= 4 || told.Code == 10 || told.Code == 14)
			if told.Code != 0 && !isLater {
				return n.earlier(tx, told)
			}
		case !errors.As(err, &status) || (status.code != 4 && status.code != 8 && status.code != 14):
			return outcome{}, err // else: late, too much, away
		}
		time.Sleep(pause)
	}
	return outcome{}, fmt.Errorf("no answer; %x may still be executed until block %d", tx.id, tx.expiryAt)
}

// earlier: refused now, because an attempt before this one got through?
func (n node) earlier(tx transaction, refusal outcome) (outcome, error) {
	answer, err := n.call("TxService/GetTx", text(1, tx.id))
	var status statusError
	if errors.As(err, &status) && status.code == notFound {
		return outcome{}, fmt.Errorf("%w: %s %d: %s", errRefused, refusal.Codespace, refusal.Code, refusal.Log)
	}
	if err != nil {
		return outcome{}, err
	}
	return outcomeOf(tx, answer, [5]uint64{5, 6, 7, 2, 8})
}

// ------------------------------------------------------------------------------------------------ proofs

func mustBe(is bool, what string) error {
	if is {
		return nil
	}
	return fmt.Errorf("not proved: %s", what)
}

func merkleRoot(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return hash([]byte{0}, leaves[0])
	}
	split := 1
	for 2*split < len(leaves) {
		split *= 2
	}
	return hash([]byte{1}, merkleRoot(leaves[:split]), merkleRoot(leaves[split:]))
}

func headerHash(header fields) []byte {
	leaves := [][]byte{
		header.bytes(1), text(1, header.bytes(2)), whole(1, header.number(3)), header.bytes(4), header.bytes(5),
	}
	for number := uint64(6); number <= 14; number++ {
		leaves = append(leaves, text(1, header.bytes(number)))
	}
	return merkleRoot(leaves)
}

// existence reads a CommitmentProof: what it shows, and the root that its path leads to. isPlaced: by the key's hash.
func existence(data []byte, leafOf func(key, value []byte) []byte, isPlaced bool) (key, value, node []byte, err error) {
	outer, err := read(data)
	if err != nil {
		return nil, nil, nil, err
	}
	proof, err := outer.inner(1)
	if err != nil {
		return nil, nil, nil, err
	}
	key, value = proof.bytes(1), proof.bytes(2)
	if err := mustBe(len(key) > 0 && len(value) > 0, "the record is absent, or the proof is of another kind"); err != nil {
		return nil, nil, nil, err
	}
	node = leafOf(key, value)
	path, place := proof[4], hash(key)
	if err := mustBe(len(path) <= 256, "a path that is too long"); err != nil {
		return nil, nil, nil, err
	}
	for number, one := range path {
		inner, err := read(one.bytes)
		if err != nil {
			return nil, nil, nil, err
		}
		before, after := inner.bytes(2), inner.bytes(3)
		isRight := len(before) == 33 && len(after) == 0
		isNode := len(before) > 0 && before[0] == 1 && (isRight || len(before) == 1 && len(after) == 32)
		if err := mustBe(isNode, "an inner node of another shape"); err != nil {
			return nil, nil, nil, err
		}
		depth := len(path) - 1 - number
		isHere := !isPlaced || (place[depth/8]>>(7-depth%8)&1 == 1) == isRight
		if err := mustBe(isHere, "a leaf that is not in its place"); err != nil {
			return nil, nil, nil, err
		}
		node = hash(before, node, after)
	}
	return key, value, node, nil
}

type trust struct {
	height uint64
	hash   []byte
}

// provedValue is what a StateProof shows under key, of the state before the trusted block.
func provedValue(proof fields, root trust, store string, key []byte) ([]byte, error) {
	header, err := proof.inner(6, 1, 1)
	if err != nil {
		return nil, err
	}
	if err := mustBe(bytes.Equal(headerHash(header), root.hash), fmt.Sprintf("the header is not the trusted block %d", root.height)); err != nil {
		return nil, err
	}
	if err := mustBe(header.number(3) == root.height, "the trusted hash is of another height"); err != nil {
		return nil, err
	}
	operations, err := proof.inner(5)
	if err != nil {
		return nil, err
	}
	if err := mustBe(len(operations[1]) == 2, "it needs two operations"); err != nil {
		return nil, err
	}
	data := [2][]byte{}
	for number, one := range operations[1] {
		operation, err := read(one.bytes)
		if err != nil {
			return nil, err
		}
		data[number] = operation.bytes(3)
	}
	inStore := func(key, value []byte) []byte { return hash([]byte{0}, hash(key), hash(value)) }
	shownKey, value, storeRoot, err := existence(data[0], inStore, true)
	if err != nil {
		return nil, err
	}
	inRoot := func(name, content []byte) []byte {
		return hash([]byte{0}, binary.AppendUvarint(nil, uint64(len(name))), name, []byte{32}, hash(content))
	}
	name, shownRoot, appHash, err := existence(data[1], inRoot, false)
	if err != nil {
		return nil, err
	}
	return value, errors.Join(
		mustBe(bytes.Equal(shownKey, key), "it is of another key"),
		mustBe(string(name) == store && bytes.Equal(shownRoot, storeRoot), "it is of another store"),
		mustBe(bytes.Equal(appHash, header.bytes(11)), "it does not lead to the block's app hash"),
	)
}

func (n node) proveAccount(root trust, address []byte) (any, error) {
	answer, err := n.call("StateService/GetAccount", message(text(1, address), whole(2, root.height-1), whole(3, 1)))
	if err != nil {
		return nil, err
	}
	proof, err := answer.inner(3)
	if err != nil {
		return nil, err
	}
	stored, err := provedValue(proof, root, "currency", append([]byte("a"), address...))
	if err != nil {
		return nil, err
	}
	account, err := read(stored)
	return map[string]any{
		"address": textOfAddress(address), "balance": strconv.FormatUint(account.number(2), 10), "after_block": root.height - 1,
	}, err
}

func (n node) proveMessage(root trust, name string, index uint64) (any, error) {
	id := channelID(name)
	request := message(text(1, id), whole(2, index), whole(3, root.height-1), whole(4, 1))
	answer, err := n.call("StateService/GetMessage", request)
	if err != nil {
		return nil, err
	}
	proof, err := answer.inner(4)
	if err != nil {
		return nil, err
	}
	stored, err := provedValue(proof, root, "chat", append([]byte("c"), id...))
	if err != nil {
		return nil, err
	}
	channel, err := read(stored)
	if err != nil {
		return nil, err
	}
	count, peaks := channel.number(7), channel[8]
	if err := mustBe(index < count, fmt.Sprintf("the channel has %d messages", count)); err != nil {
		return nil, err
	}
	told, path := answer.bytes(2), fields{}
	if path, err = answer.inner(3); err != nil {
		return nil, err
	}
	tall := bits.Len64(index^count) - 1
	if err := mustBe(len(path[3]) == tall, "a path of another length"); err != nil {
		return nil, err
	}
	at := hash([]byte{0}, told)
	for level, sibling := range path[3] {
		if index>>level&1 == 1 {
			at = hash([]byte{1}, sibling.bytes, at)
		} else {
			at = hash([]byte{1}, at, sibling.bytes)
		}
	}
	peak := bits.OnesCount64(count >> (tall + 1))
	if err := mustBe(peak < len(peaks) && bytes.Equal(peaks[peak].bytes, at), "the path does not lead to the channel's peak"); err != nil {
		return nil, err
	}
	post, err := read(told)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"index": index, "content": post.text(4), "author": textOfAddress(post.bytes(3)), "of": count, "after_block": root.height - 1,
	}, mustBe(bytes.Equal(post.bytes(1), id) && post.number(2) == index, "it is another message")
}

// ------------------------------------------------------------------------------------------------ the command

func trustOf(said string) (trust, error) {
	height, digest, _ := strings.Cut(said, ":")
	number, err := strconv.ParseUint(height, 10, 63)
	plain, problem := hex.DecodeString(digest)
	if err != nil || problem != nil || number < 1 || len(plain) != 32 {
		return trust{}, fmt.Errorf("--trust HEIGHT:HASH, %s", trusted)
	}
	if number < 2 {
		return trust{}, fmt.Errorf("no state comes before block %d: --trust HEIGHT:HASH, %s", number, trusted)
	}
	return trust{number, plain}, nil
}

func run(words []string, options map[string]string) (any, error) {
	for len(words) < 4 {
		words = append(words, "")
	}
	n := dial(options["node"])
	command, first, second, third := words[0], words[1], words[2], words[3]
	if strings.HasPrefix(command, "prove-") {
		root, err := trustOf(options["trust"])
		if err != nil {
			return nil, err
		}
		if command == "prove-message" {
			index, err := strconv.ParseUint(second, 10, 64)
			if err != nil {
				return nil, err
			}
			return n.proveMessage(root, first, index)
		}
		address, err := addressOf(first)
		if err != nil {
			return nil, err
		}
		return n.proveAccount(root, address)
	}
	by, err := walletOf(first)
	if err != nil {
		return nil, err
	}
	p := plan{chainID: options["chain-id"], memo: options["memo"]}
	switch command {
	case "address":
		return map[string]string{"address": textOfAddress(by.address), "hex": hex.EncodeToString(by.address)}, nil
	case "pay":
		recipient, err := addressOf(second)
		if err != nil {
			return nil, err
		}
		amount, err := strconv.ParseUint(third, 10, 64)
		if err != nil {
			return nil, err
		}
		p.lane, p.legs = laneCurrency, []leg{payment(by.address, recipient, amount)}
	case "open":
		p.lane = laneBridge
		p.legs = []leg{registerIdentity(by.address, second, ""), createChannel(by.address, third, 0, "")}
	case "post":
		p.lane, p.legs = laneChat, []leg{postMessage(by.address, channelID(second), third, 0)}
	default:
		return nil, errors.New("commands: address, pay, open, post, prove-account, prove-message; see the top of this file")
	}
	return n.send(by, p)
}

func main() {
	words, options := []string{}, map[string]string{"node": "127.0.0.1:26670"}
	for at := 1; at < len(os.Args); at++ {
		if name, isOption := strings.CutPrefix(os.Args[at], "--"); isOption && at+1 < len(os.Args) {
			at++
			options[name] = os.Args[at]
		} else {
			words = append(words, os.Args[at])
		}
	}
	if len(words) == 0 {
		words = []string{""}
	}
	told, err := run(words, options)
	if err != nil {
		told = map[string]string{"error": err.Error()}
	}
	line, problem := json.Marshal(told)
	if problem != nil {
		panic(problem)
	}
	fmt.Println(string(line))
	if sent, isSent := told.(outcome); err != nil || isSent && sent.Code != 0 {
		os.Exit(1)
	}
}
