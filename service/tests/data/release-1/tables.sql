-- The tables of version 1. Times are nanoseconds since the Unix epoch, and waits are
-- seconds. A later version adds a block; a released block is never changed.

CREATE TABLE meta (key text PRIMARY KEY, number bigint, bytes bytea);

-- The running services. One that was not heard of for its lease is gone, and nothing that
-- it writes is taken.
CREATE TABLE node (
    id text PRIMARY KEY,        -- a random UUID for each start of a service
    version text NOT NULL,
    begun bigint NOT NULL,
    beats bigint NOT NULL,      -- its last sign of life, by the clock of this server
    gone boolean NOT NULL DEFAULT false,
    server bigint,              -- the server with which it has compared its logs last,
    compared bigint             -- and when that was
);

CREATE TABLE conversation (
    id bigint PRIMARY KEY,
    account text COLLATE "C" NOT NULL,
    connection text COLLATE "C" NOT NULL,
    session text COLLATE "C" NOT NULL UNIQUE,
    name text COLLATE "C",
    created bigint NOT NULL,
    zero bigint,                -- first audio
    first bigint,               -- start of the first sentence
    head bigint NOT NULL DEFAULT 0, -- its last entry
    sequence bigint NOT NULL DEFAULT 0,
    keep bigint NOT NULL,       -- noConnectionTimeout
    ends bigint,                -- nobody is there: when it is over
    ended bigint,               -- when it was over
    metadata text,              -- JSON object,
    labels jsonb,               -- and its texts as they are looked for
    retain bigint               -- seconds after its end; NULL: as --keep says
);
CREATE INDEX conversation_of ON conversation (account, created);
CREATE INDEX conversation_ended ON conversation (ended) WHERE ended IS NOT NULL;
CREATE INDEX conversation_open ON conversation (account, connection) WHERE ended IS NULL;

-- The conversation of each connection id: the latest one, whose first start request may be
-- yet to come.
CREATE TABLE room (
    account text COLLATE "C" NOT NULL,
    connection text COLLATE "C" NOT NULL,
    conversation bigint NOT NULL,
    session text COLLATE "C" NOT NULL,
    node text NOT NULL,         -- where it began
    PRIMARY KEY (account, connection)
);
CREATE INDEX room_of ON room (conversation);

-- Which nodes have sockets of speakers in a conversation, which may be yet to begin.
CREATE TABLE seat (
    conversation bigint NOT NULL,
    node text NOT NULL,
    closing bigint,             -- all its sockets are being closed, until then at most
    PRIMARY KEY (conversation, node)
);
CREATE INDEX seat_of ON seat (node);

-- The sockets of speakers that count for their accounts, where the number is limited.
CREATE TABLE socket (
    id text COLLATE "C" PRIMARY KEY, -- a random UUID
    account text COLLATE "C" NOT NULL,
    node text NOT NULL
);
CREATE INDEX socket_of ON socket (account);

CREATE TABLE member (
    conversation bigint NOT NULL REFERENCES conversation ON DELETE CASCADE,
    id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C",
    name text COLLATE "C",
    here boolean NOT NULL,      -- has come and not left
    node text NOT NULL,         -- where it came last
    PRIMARY KEY (conversation, id)
);

CREATE TABLE entry (
    conversation bigint NOT NULL REFERENCES conversation ON DELETE CASCADE,
    seq bigint NOT NULL,        -- 1, 2, 3 … without a hole
    at bigint NOT NULL,
    kind text NOT NULL,
    number bigint,              -- of a final: sequenceNumber
    zero bigint,                -- and when the first audio of the conversation came
    client text COLLATE "C",    -- the id that a client gave it
    corrects bigint,            -- the message that it corrects
    stream text COLLATE "C",    -- of a final: the stream that it is a part of
    until bigint,               -- and where that part ends, nanoseconds of audio
    body text NOT NULL,         -- JSON; number and zero are those of the columns
    PRIMARY KEY (conversation, seq)
);
CREATE UNIQUE INDEX entry_number ON entry (conversation, number) WHERE number IS NOT NULL;
CREATE UNIQUE INDEX entry_client ON entry (conversation, client) WHERE client IS NOT NULL;
CREATE INDEX entry_stream ON entry (conversation, stream, until) WHERE stream IS NOT NULL;
CREATE INDEX entry_corrects ON entry (conversation, corrects, seq) WHERE corrects IS NOT NULL;

CREATE TABLE stream (
    conversation bigint NOT NULL REFERENCES conversation ON DELETE CASCADE,
    id text COLLATE "C" NOT NULL,
    attempt bigint NOT NULL,    -- its latest start request
    member text COLLATE "C" NOT NULL,
    begun bigint NOT NULL,      -- up to where it was said before that, nanoseconds of audio
    said_until bigint NOT NULL, -- and up to where it is said now
    PRIMARY KEY (conversation, id)
);

CREATE TABLE message (
    id bigint PRIMARY KEY,
    conversation bigint NOT NULL REFERENCES conversation ON DELETE CASCADE,
    seq bigint NOT NULL,        -- the entry that it is in,
    n integer NOT NULL,         -- and where
    speaker text COLLATE "C" NOT NULL,
    text text NOT NULL,
    start bigint NOT NULL,
    stop bigint NOT NULL,
    words text NOT NULL,        -- JSON: [[word, start, stop], ...]
    confidence double precision NOT NULL,
    stored bigint NOT NULL,     -- when it was written
    phrases boolean NOT NULL,   -- whether its client asked for actionable parts
    lexemes tsvector NOT NULL   -- what a search finds: words, account and conversation
);
CREATE INDEX message_found ON message USING gin (lexemes);
CREATE INDEX message_of ON message (conversation, start, id);
CREATE INDEX message_told ON message (conversation, seq, n);

CREATE TABLE insight (
    id bigint PRIMARY KEY,
    conversation bigint NOT NULL REFERENCES conversation ON DELETE CASCADE,
    message bigint NOT NULL REFERENCES message ON DELETE CASCADE,
    n integer NOT NULL,
    kind text NOT NULL,
    text text NOT NULL,
    score double precision NOT NULL,
    by_speaker boolean NOT NULL, -- whether the speaker is to act
    assignee text,              -- or whoever is named
    due text
);
CREATE INDEX insight_of ON insight (conversation);
CREATE INDEX insight_in ON insight (message);

CREATE TABLE topic (
    conversation bigint NOT NULL REFERENCES conversation ON DELETE CASCADE,
    id bigint NOT NULL,
    text text COLLATE "C" NOT NULL,
    score double precision NOT NULL,
    messages bigint[] NOT NULL,
    PRIMARY KEY (conversation, text)
);

CREATE TABLE tracker (
    id bigint PRIMARY KEY,
    conversation bigint NOT NULL REFERENCES conversation ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL,
    UNIQUE (conversation, name)
);
CREATE TABLE tracker_match (
    tracker bigint NOT NULL REFERENCES tracker ON DELETE CASCADE,
    message bigint NOT NULL REFERENCES message ON DELETE CASCADE,
    value text COLLATE "C" NOT NULL,
    place bigint NOT NULL       -- characters from the start of the text
);
CREATE INDEX tracker_match_of ON tracker_match (tracker);
CREATE INDEX tracker_match_in ON tracker_match (message);

CREATE TABLE entity (
    id bigint PRIMARY KEY,
    message bigint NOT NULL REFERENCES message ON DELETE CASCADE,
    type text NOT NULL,
    value text NOT NULL,
    text text NOT NULL,
    place bigint NOT NULL
);
CREATE INDEX entity_in ON entity (message);

CREATE TABLE kept_tracker (
    made bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- their order
    id bigint NOT NULL UNIQUE,
    account text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    vocabulary text NOT NULL,   -- JSON: phrases
    UNIQUE (account, name)
);

CREATE TABLE bookmark (
    id bigint PRIMARY KEY,
    conversation bigint NOT NULL REFERENCES conversation ON DELETE CASCADE,
    label text NOT NULL,
    description text NOT NULL,
    author text NOT NULL,       -- JSON: name, userId, email
    begins bigint NOT NULL,     -- from the first audio of the conversation
    duration bigint NOT NULL,
    messages bigint[] NOT NULL,
    created bigint NOT NULL,
    updated bigint NOT NULL
);
CREATE INDEX bookmark_of ON bookmark (conversation, begins);

CREATE TABLE conversation_group (
    made bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- their order
    id bigint NOT NULL UNIQUE,
    account text COLLATE "C" NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    criteria text NOT NULL,     -- a filter of conversations
    created bigint NOT NULL,
    updated bigint NOT NULL
);
CREATE INDEX conversation_group_of ON conversation_group (account, made);

CREATE TABLE job (
    id text COLLATE "C" PRIMARY KEY, -- UUID
    account text COLLATE "C" NOT NULL,
    conversation bigint NOT NULL REFERENCES conversation ON DELETE CASCADE,
    status text NOT NULL,       -- scheduled, in_progress, completed, failed
    request text NOT NULL,      -- JSON
    result text,                -- why it failed
    zero bigint,                -- when its first audio came; NULL: it has not begun
    progress bigint NOT NULL DEFAULT 0, -- nanoseconds of audio, or messages
    attempt bigint NOT NULL DEFAULT 0,
    home text NOT NULL,         -- the node that has its recording,
    node text,                  -- and the one that runs it
    created bigint NOT NULL,
    updated bigint NOT NULL
);
CREATE INDEX job_of ON job (account, created);
CREATE INDEX job_in ON job (conversation);
CREATE INDEX job_open ON job (created) WHERE status IN ('scheduled', 'in_progress');

CREATE TABLE webhook (
    id text COLLATE "C" PRIMARY KEY, -- UUID: the idempotency key
    job text COLLATE "C" NOT NULL REFERENCES job ON DELETE CASCADE,
    url text NOT NULL,
    body text NOT NULL,
    attempts bigint NOT NULL DEFAULT 0,
    due bigint,                 -- NULL: delivered, or given up
    error text,                 -- why the last attempt failed; NULL: delivered
    node text,                  -- the one that sends it
    created bigint NOT NULL
);
CREATE INDEX webhook_due ON webhook (due) WHERE due IS NOT NULL;
CREATE INDEX webhook_of ON webhook (job);
