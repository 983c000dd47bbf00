-- The receiver's database. The promise rests on the primary key of processed_keys.
CREATE TABLE clients (
  client           text   PRIMARY KEY,                            -- Each caller has its own sequence of keys.
  first_incomplete bigint NOT NULL DEFAULT 1 CHECK (first_incomplete >= 1)  -- All keys below are settled and forgotten.
);
CREATE TABLE accounts (
  account       text   PRIMARY KEY,
  balance_cents bigint NOT NULL CHECK (balance_cents >= 0)        -- A wrong statement fails; it cannot overdraw.
);
CREATE TABLE processed_keys (
  client       text    NOT NULL REFERENCES clients,
  sequence_key bigint  NOT NULL,
  fingerprint  bytea   NOT NULL,                                  -- Tells a retry from another request.
  status       integer NOT NULL DEFAULT 0,                        -- Never seen as 0: written in the same transaction.
  body         text    NOT NULL DEFAULT '',                       -- The answer, replayed byte for byte.
  PRIMARY KEY (client, sequence_key)                              -- A key is executed once. A twin waits here.
);
CREATE TABLE ledger (
  charge_id     uuid   PRIMARY KEY DEFAULT gen_random_uuid(),
  client        text   NOT NULL,
  sequence_key  bigint NOT NULL,
  order_id      uuid   NOT NULL,
  account       text   NOT NULL REFERENCES accounts,              -- Money moves only between accounts that exist.
  amount_cents  bigint NOT NULL CHECK (amount_cents > 0)          -- A charge takes money; it never gives any.
);
-- The caller's database. No request is sent whose key a crash could make it forget.
CREATE TABLE sequence_counter (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),     -- One counter: no two orders count apart.
  last_key bigint  NOT NULL DEFAULT 0                             -- Starts empty: the first order makes the row.
);
CREATE TABLE orders (
  order_id     uuid   PRIMARY KEY,
  account      text   NOT NULL,
  amount_cents bigint NOT NULL CHECK (amount_cents > 0),
  sequence_key bigint NOT NULL UNIQUE,                            -- No order is billed under another order's key.
  status       text   NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'billed', 'declined')),
  created_at   timestamptz NOT NULL DEFAULT now(),
  answer       text   CHECK ((answer IS NULL) = (status = 'pending'))  -- A final state rests on an answer.
);
