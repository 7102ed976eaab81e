"""What every module stands on: branches of the state, contexts, authority, replay marks, queues, execution in
slices."""
