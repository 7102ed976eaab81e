// What a chain of the Cosmos SDK does with an IBC client, and nothing else: ibc-go's 02-client with its 07-tendermint
// client, over a store in memory. Reads a list of steps from standard input, tells of each what came of it.
//
// Each step is what the chain is given: the JSON that `tx ibc client create` and `update` read, or the request of the
// query VerifyMembership. As in a transaction, a step that fails leaves nothing behind.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"cosmossdk.io/log"
	"cosmossdk.io/store"
	"cosmossdk.io/store/metrics"
	storetypes "cosmossdk.io/store/types"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/runtime"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/cosmos/ibc-go/v10/modules/core/02-client/keeper"
	"github.com/cosmos/ibc-go/v10/modules/core/02-client/types"
	"github.com/cosmos/ibc-go/v10/modules/core/exported"
	tendermint "github.com/cosmos/ibc-go/v10/modules/light-clients/07-tendermint"
)

const inputBytesMax = 64 << 20

// step: Do is create, update, member or absent; Now is the time of this chain's block.
type step struct {
	Do             string          `json:"do"`
	Now            time.Time       `json:"now"`
	ClientState    json.RawMessage `json:"client_state"`
	ConsensusState json.RawMessage `json:"consensus_state"`
	ClientID       string          `json:"client_id"`
	Message        json.RawMessage `json:"message"`
	Request        json.RawMessage `json:"request"`
}

type result struct {
	ClientID string `json:"client_id"`
	Error    string `json:"error"`  // empty: it was taken
	Status   string `json:"status"` // of the client, afterwards
	Latest   string `json:"latest"` // its height: REVISION-HEIGHT
}

type chain struct {
	ctx    sdk.Context
	cdc    *codec.ProtoCodec
	keeper *keeper.Keeper
}

func newChain() (*chain, error) {
	key := storetypes.NewKVStoreKey(exported.StoreKey)
	stores := store.NewCommitMultiStore(dbm.NewMemDB(), log.NewNopLogger(), metrics.NewNoOpMetrics())
	stores.MountStoreWithDB(key, storetypes.StoreTypeIAVL, nil)
	if err := stores.LoadLatestVersion(); err != nil {
		return nil, err
	}
	registry := codectypes.NewInterfaceRegistry()
	types.RegisterInterfaces(registry)
	tendermint.RegisterInterfaces(registry)
	cdc := codec.NewProtoCodec(registry)
	k := keeper.NewKeeper(cdc, runtime.NewKVStoreService(key), nil, nil)
	k.AddRoute(exported.Tendermint, tendermint.NewLightClientModule(cdc, k.GetStoreProvider()))
	ctx := sdk.NewContext(stores, cmtproto.Header{ChainID: "reader-1", Height: 1}, false, log.NewNopLogger())
	k.SetParams(ctx, types.DefaultParams())
	k.SetNextClientSequence(ctx, 0)
	return &chain{ctx, cdc, k}, nil
}

// carriedOut is one step in a block of its own.
func (c *chain) carriedOut(one step) (told result) {
	c.ctx = c.ctx.WithBlockHeight(c.ctx.BlockHeight() + 1).WithBlockTime(one.Now)
	told.ClientID = one.ClientID
	cached, write := c.ctx.CacheContext()
	err := func() (err error) {
		defer func() {
			if panicked := recover(); panicked != nil {
				err = fmt.Errorf("panic: %v", panicked)
			}
		}()
		switch one.Do {
		case "create":
			told.ClientID, err = c.create(cached, one)
		case "update":
			err = c.update(cached, one)
		case "member", "absent":
			err = c.verify(cached, one)
		default:
			err = fmt.Errorf("no such step: %q", one.Do)
		}
		return err
	}()
	if err == nil {
		write()
	} else {
		told.Error = err.Error()
	}
	if module, err := c.keeper.Route(c.ctx, told.ClientID); err == nil {
		told.Status = module.Status(c.ctx, told.ClientID).String()
		told.Latest = module.LatestHeight(c.ctx, told.ClientID).String()
	}
	return told
}

func signer() string { return sdk.AccAddress(make([]byte, 20)).String() }

func (c *chain) create(ctx sdk.Context, one step) (string, error) {
	var clientState exported.ClientState
	var consensusState exported.ConsensusState
	if err := c.cdc.UnmarshalInterfaceJSON(one.ClientState, &clientState); err != nil {
		return "", err
	}
	if err := c.cdc.UnmarshalInterfaceJSON(one.ConsensusState, &consensusState); err != nil {
		return "", err
	}
	message, err := types.NewMsgCreateClient(clientState, consensusState, signer())
	if err != nil {
		return "", err
	}
	if err := message.ValidateBasic(); err != nil {
		return "", err
	}
	return c.keeper.CreateClient(ctx, clientState.ClientType(), message.ClientState.Value, message.ConsensusState.Value)
}

func (c *chain) update(ctx sdk.Context, one step) error {
	var told exported.ClientMessage
	if err := c.cdc.UnmarshalInterfaceJSON(one.Message, &told); err != nil {
		return err
	}
	message, err := types.NewMsgUpdateClient(one.ClientID, told, signer())
	if err != nil {
		return err
	}
	if err := message.ValidateBasic(); err != nil {
		return err
	}
	return c.keeper.UpdateClient(ctx, one.ClientID, told)
}

// verify asks the chain's own query where there is one, which says yes or no; the module then says why.
func (c *chain) verify(ctx sdk.Context, one step) error {
	var asked types.QueryVerifyMembershipRequest
	if err := c.cdc.UnmarshalJSON(one.Request, &asked); err != nil {
		return err
	}
	if one.Do == "absent" {
		return c.keeper.VerifyNonMembership(
			ctx, asked.ClientId, asked.ProofHeight, asked.TimeDelay, asked.BlockDelay, asked.Proof, asked.MerklePath,
		)
	}
	answer, err := keeper.NewQueryServer(c.keeper).VerifyMembership(ctx, &asked)
	if err != nil || answer.Success {
		return err
	}
	err = c.keeper.VerifyMembership(
		ctx, asked.ClientId, asked.ProofHeight, asked.TimeDelay, asked.BlockDelay, asked.Proof, asked.MerklePath, asked.Value,
	)
	if err == nil {
		return errors.New("the query says no, and the module yes")
	}
	return err
}

func run() error {
	var steps []step
	if err := json.NewDecoder(io.LimitReader(os.Stdin, inputBytesMax)).Decode(&steps); err != nil {
		return err
	}
	reader, err := newChain()
	if err != nil {
		return err
	}
	results := make([]result, 0, len(steps))
	for _, one := range steps {
		results = append(results, reader.carriedOut(one))
	}
	return json.NewEncoder(os.Stdout).Encode(results)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
