"""The Tendermint engine, complete in itself: it runs any application behind `consensus.abci`."""
