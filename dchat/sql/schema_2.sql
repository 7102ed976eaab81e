-- What people wrote may leave the tables after a while: [sql] bodies_kept_for.

ALTER TABLE chain ADD COLUMN bodies_from bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN chain.bodies_from IS 'Below this height messages.body is {} and transactions.memo is empty, by [sql] bodies_kept_for; 0: all are there';
