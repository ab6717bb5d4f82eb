-- What is written, as functions that one statement calls. The version is in their names, so
-- that services of two versions can use one database at the same time. They are made anew
-- whenever a service starts.

-- The time by the clock of this server, nanoseconds since the Unix epoch.
CREATE OR REPLACE FUNCTION symbl_now_1() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000
$$;

-- Which server this is, and since when it runs: another one after a failover and a restart.
CREATE OR REPLACE FUNCTION symbl_server_1() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint
$$;

-- Returns the words of an account and of a conversation, which are no words of a text.
CREATE OR REPLACE FUNCTION symbl_scope_1(account text, c bigint) RETURNS tsvector
LANGUAGE sql IMMUTABLE AS $$
    SELECT array_to_tsvector(ARRAY['@' || encode(sha256(convert_to(account, 'UTF8')), 'hex'),
                                   '#c' || c])
$$;

-- Returns true if a node is not declared gone.
CREATE OR REPLACE FUNCTION symbl_lives_1(node_id text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM node WHERE id = node_id AND NOT gone)
$$;

-- Appends an entry, and returns its number: NULL if the conversation is over.
CREATE OR REPLACE FUNCTION symbl_append_1(c bigint, at bigint, kind text, body text)
RETURNS bigint LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    seq bigint;
BEGIN
    UPDATE conversation SET head = head + 1 WHERE id = c AND ended IS NULL RETURNING head INTO seq;
    IF FOUND THEN
        INSERT INTO entry (conversation, seq, at, kind, body) VALUES (c, seq, at, kind, body);
    END IF;
    RETURN seq;
END $$;

-- Appends that the speakers of this node have left who are not here, each once; without a
-- node, those of all.
CREATE OR REPLACE FUNCTION symbl_left_1(me text, c bigint, at bigint, stay jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    m record;
    body text;
    seq bigint;
    entries jsonb := '[]';
BEGIN
    FOR m IN SELECT * FROM member WHERE conversation = c AND member.here
             AND NOT stay ? id AND (me IS NULL OR node = me) ORDER BY id LOOP
        body := jsonb_build_object('v', 1, 'entry', jsonb_build_object('left',
            jsonb_strip_nulls(jsonb_build_object('id', m.id, 'user_id', m.user_id,
                                                 'name', m.name))))::text;
        seq := symbl_append_1(c, at, 'left', body);
        EXIT WHEN seq IS NULL;
        UPDATE member SET here = false WHERE conversation = c AND id = m.id;
        entries := entries || jsonb_build_object('seq', seq, 'at', at, 'body', body);
    END LOOP;
    RETURN entries;
END $$;

CREATE OR REPLACE FUNCTION symbl_start_1(me text, r jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c bigint := (r->>'c')::bigint;
    at bigint := (r->>'at')::bigint;
    m jsonb := nullif(r->'member', 'null');
    s jsonb := nullif(r->'stream', 'null');
    st stream;
    seq bigint;
    attempt bigint;
    was_here boolean;
    entries jsonb := '[]';
    unheard jsonb := '[]';
BEGIN
    INSERT INTO conversation (id, account, connection, name, created, keep, session, ends)
    VALUES (c, r->>'account', r->>'connection', r->>'title', at, (r->>'keep')::bigint,
            r->>'session', (r->>'ends')::bigint)
    ON CONFLICT (id) DO NOTHING;
    IF FOUND THEN
        seq := symbl_append_1(c, at, 'opened', r->>'body');
        entries := entries || jsonb_build_object('seq', seq, 'at', at, 'body', r->'body');
        INSERT INTO room VALUES (r->>'account', r->>'connection', c, r->>'session', me)
        ON CONFLICT DO NOTHING;
    ELSE
        UPDATE conversation SET name = coalesce(name, r->>'title'),
            keep = (r->>'keep')::bigint, ends = (r->>'ends')::bigint
        WHERE id = c;
    END IF;
    IF m IS NOT NULL THEN
        INSERT INTO seat VALUES (c, me)
        ON CONFLICT (conversation, node) DO UPDATE SET closing = NULL;
        SELECT here INTO was_here FROM member WHERE conversation = c AND id = m->>'id';
        INSERT INTO member AS old VALUES (c, m->>'id', m->>'user_id', m->>'name', true, me)
        ON CONFLICT (conversation, id) DO UPDATE
        SET user_id = excluded.user_id, name = coalesce(excluded.name, old.name)
        WHERE old.user_id IS DISTINCT FROM excluded.user_id
        OR old.name IS DISTINCT FROM coalesce(excluded.name, old.name);
        IF NOT FOUND THEN
            UPDATE member SET node = me WHERE conversation = c AND id = m->>'id' AND node <> me;
        ELSE
            was_here := false;
            UPDATE member SET node = me WHERE conversation = c AND id = m->>'id' AND node <> me;
        END IF;
        IF NOT was_here THEN
            seq := symbl_append_1(c, at, 'member', m->>'body');
            IF seq IS NOT NULL THEN
                UPDATE member SET here = true WHERE conversation = c AND id = m->>'id';
                entries := entries || jsonb_build_object('seq', seq, 'at', at, 'body', m->'body');
            END IF;
        END IF;
    END IF;
    IF m IS NULL OR s IS NULL THEN
        RETURN jsonb_build_object('v', 'here', 'said_until', 0, 'unheard', unheard,
                                  'entries', entries);
    END IF;
    -- The order of start requests is that of the row of the conversation.
    PERFORM 1 FROM conversation WHERE id = c FOR NO KEY UPDATE;
    attempt := (s->>'attempt')::bigint;
    SELECT * INTO st FROM stream WHERE conversation = c AND id = s->>'stream';
    IF FOUND AND (st.attempt > attempt OR st.attempt = attempt AND NOT (r->>'again')::boolean) THEN
        RETURN jsonb_build_object('v', 'superseded', 'entries', entries);
    END IF;
    INSERT INTO stream AS old VALUES (c, s->>'stream', attempt, m->>'id', 0, 0)
    ON CONFLICT (conversation, id) DO UPDATE
    SET attempt = excluded.attempt, begun = old.said_until;
    IF st.said_until > (s->>'position')::bigint THEN
        SELECT coalesce(jsonb_agg(jsonb_build_object('seq', e.seq, 'at', e.at,
            'number', e.number, 'zero', e.zero, 'body', e.body) ORDER BY e.seq), '[]')
        INTO unheard
        FROM (SELECT * FROM entry WHERE conversation = c AND entry.stream = s->>'stream'
              AND until > (s->>'position')::bigint ORDER BY entry.seq
              LIMIT (s->>'most')::bigint) e;
    END IF;
    RETURN jsonb_build_object('v', 'here', 'said_until', coalesce(st.said_until, 0),
                              'unheard', unheard, 'entries', entries);
END $$;

-- Appends a final, unless a fence refuses it: the conversation is over, its stream goes on
-- with another start request, or its audio was said before.
CREATE OR REPLACE FUNCTION symbl_said_1(r jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c bigint := (r->>'c')::bigint;
    p jsonb := nullif(r->'part', 'null');
    con conversation;
    st stream;
    e entry;
    until bigint := (p->>'until')::bigint;
BEGIN
    -- This lock is the order of the log: it is held until the commit is durable.
    SELECT * INTO con FROM conversation WHERE id = c FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no conversation has the id %', c;
    END IF;
    IF (r->>'again')::boolean THEN
        -- The answer to this very append may have been lost.
        SELECT entry.* INTO e FROM message m
        JOIN entry ON entry.conversation = c AND entry.seq = m.seq
        WHERE m.conversation = c AND m.id = (r->'messages'->0->>'id')::bigint;
        IF FOUND THEN
            RETURN jsonb_build_object('v', 'stored', 'seq', e.seq, 'at', e.at,
                                      'number', e.number, 'zero', e.zero);
        END IF;
    END IF;
    IF con.ended IS NOT NULL THEN
        RETURN '{"v": "over"}';
    END IF;
    IF p IS NOT NULL AND r ? 'fills' THEN
        -- The fences have let it in before the log lost it, and the start of its stream perhaps.
        INSERT INTO stream AS old VALUES (c, p->>'stream', (p->>'attempt')::bigint,
            r->'messages'->0->>'speaker', 0, until)
        ON CONFLICT (conversation, id) DO UPDATE
        SET attempt = greatest(old.attempt, excluded.attempt),
            begun = CASE WHEN excluded.attempt > old.attempt THEN old.said_until ELSE old.begun END,
            said_until = greatest(old.said_until, excluded.said_until);
    ELSIF p IS NOT NULL THEN
        SELECT * INTO st FROM stream WHERE conversation = c AND id = p->>'stream';
        IF st.attempt IS DISTINCT FROM (p->>'attempt')::bigint THEN
            RETURN '{"v": "superseded"}';
        END IF;
        -- Within one attempt no audio comes twice, whatever times an engine gives.
        IF (p->>'from')::bigint < st.begun AND until <= st.begun THEN
            RETURN '{"v": "already"}';
        END IF;
        UPDATE stream SET said_until = greatest(said_until, until)
        WHERE conversation = c AND id = p->>'stream';
    END IF;
    UPDATE conversation SET head = head + 1, sequence = sequence + 1,
        zero = coalesce(zero, (r->>'start')::bigint),
        first = coalesce(first, (r->>'first')::bigint)
    WHERE id = c RETURNING * INTO con;
    INSERT INTO entry (conversation, seq, at, kind, number, zero, stream, until, body)
    VALUES (c, con.head, (r->>'at')::bigint, 'said', con.sequence - 1, con.zero,
            p->>'stream', until, r->>'body');
    INSERT INTO message
    SELECT x.id, c, con.head, x.n, x.speaker, x.text, x.start, x.stop, x.words, x.confidence,
           (r->>'at')::bigint, (r->>'phrases')::boolean,
           x.lexemes::tsvector || symbl_scope_1(con.account, c)
    FROM jsonb_to_recordset(r->'messages') AS x(id bigint, n integer, speaker text, text text,
        start bigint, stop bigint, words text, confidence double precision, lexemes text);
    IF r ? 'insights' THEN
        INSERT INTO insight
        SELECT x.id, c, x.message, x.n, x.kind, x.text, x.score, x.by_speaker, x.assignee, x.due
        FROM jsonb_to_recordset(r->'insights') AS x(id bigint, message bigint, n integer,
            kind text, text text, score double precision, by_speaker boolean, assignee text,
            due text);
    END IF;
    IF r ? 'topics' THEN
        -- Of topics with one text in one final the last one counts.
        INSERT INTO topic
        SELECT DISTINCT ON (x.text) c, x.id, x.text, x.score, x.messages
        FROM jsonb_to_recordset(r->'topics') AS x(id bigint, n integer, text text,
            score double precision, messages bigint[])
        ORDER BY x.text, x.n DESC
        ON CONFLICT (conversation, text) DO UPDATE
        SET id = excluded.id, score = excluded.score, messages = excluded.messages;
    END IF;
    IF r ? 'trackers' THEN
        INSERT INTO tracker SELECT x.id, c, x.name
        FROM jsonb_to_recordset(r->'trackers') AS x(id bigint, name text)
        ON CONFLICT (conversation, name) DO NOTHING;
        INSERT INTO tracker_match SELECT t.id, x.message, x.value, x.place
        FROM jsonb_to_recordset(r->'trackers') AS x(name text, message bigint, value text,
            place bigint)
        JOIN tracker t ON t.conversation = c AND t.name = x.name;
    END IF;
    IF r ? 'entities' THEN
        INSERT INTO entity SELECT x.id, x.message, x.kind, x.value, x.text, x.place
        FROM jsonb_to_recordset(r->'entities') AS x(id bigint, message bigint, kind text,
            value text, text text, place bigint);
    END IF;
    RETURN jsonb_build_object('v', 'stored', 'seq', con.head, 'at', r->'at',
                              'number', con.sequence - 1, 'zero', con.zero);
END $$;

-- Appends a text that a client sent, unless it is there already.
CREATE OR REPLACE FUNCTION symbl_sent_1(r jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c bigint := (r->>'c')::bigint;
    at bigint := (r->>'at')::bigint;
    e entry;
    next bigint;
    whose text;
BEGIN
    SELECT account INTO whose FROM conversation WHERE id = c FOR NO KEY UPDATE;
    SELECT * INTO e FROM entry WHERE conversation = c AND client = r->>'client';
    IF FOUND THEN
        RETURN jsonb_build_object('v', 'known', 'seq', e.seq, 'at', e.at, 'body', e.body);
    END IF;
    IF r->>'corrects' IS NOT NULL THEN
        PERFORM 1 FROM message WHERE id = (r->>'corrects')::bigint AND conversation = c;
        IF NOT FOUND THEN
            RETURN '{"v": "no_such_message"}';
        END IF;
    END IF;
    next := symbl_append_1(c, at, 'sent', r->>'body');
    IF next IS NULL THEN
        RETURN '{"v": "over"}';
    END IF;
    UPDATE entry SET client = r->>'client', corrects = (r->>'corrects')::bigint
    WHERE conversation = c AND seq = next;
    IF r->>'corrects' IS NOT NULL THEN
        UPDATE message SET lexemes = (r->>'lexemes')::tsvector || symbl_scope_1(whose, c)
        WHERE id = (r->>'corrects')::bigint AND conversation = c;
    END IF;
    UPDATE conversation SET ends = greatest(ends, (r->>'ends')::bigint)
    WHERE id = c AND ends IS NOT NULL AND r->>'ends' IS NOT NULL;
    RETURN jsonb_build_object('v', 'stored', 'seq', next, 'at', at);
END $$;

-- This node has no speaker in the conversation any more. If no other node has one, the
-- conversation will be over at `ends`.
CREATE OR REPLACE FUNCTION symbl_closed_1(me text, r jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c bigint := (r->>'c')::bigint;
    seq bigint;
    entries jsonb := '[]';
BEGIN
    PERFORM 1 FROM conversation WHERE id = c FOR NO KEY UPDATE;
    DELETE FROM seat WHERE conversation = c AND node = me;
    PERFORM 1 FROM seat WHERE conversation = c;
    IF NOT FOUND THEN
        UPDATE conversation SET ends = (r->>'ends')::bigint WHERE id = c AND ended IS NULL;
        seq := symbl_append_1(c, (r->>'at')::bigint, 'closed', r->>'body');
        IF seq IS NOT NULL THEN
            entries := jsonb_build_array(jsonb_build_object('seq', seq, 'at', r->'at',
                                                            'body', r->'body'));
        END IF;
    END IF;
    RETURN jsonb_build_object('entries', entries);
END $$;

-- Ends the conversation, unless another node has a speaker in it. One who only `asks` does not
-- end one that waits for a speaker longer than this node knows.
CREATE OR REPLACE FUNCTION symbl_over_1(me text, r jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c bigint := (r->>'c')::bigint;
    at bigint := (r->>'at')::bigint;
    waits_until bigint;
    had_seat boolean;
    is_begun boolean;
    seq bigint;
    entries jsonb := '[]';
BEGIN
    SELECT ends INTO waits_until FROM conversation WHERE id = c FOR NO KEY UPDATE;
    is_begun := FOUND;
    DELETE FROM seat WHERE conversation = c AND node = me;
    had_seat := FOUND;
    PERFORM 1 FROM seat WHERE conversation = c;
    IF FOUND OR (r ? 'asks' AND NOT had_seat AND waits_until > symbl_now_1()) THEN
        RETURN jsonb_build_object('v', 'goes_on', 'entries', entries);
    END IF;
    IF NOT is_begun THEN
        -- Nobody has this row locked who waits for one of `conversation`.
        DELETE FROM room WHERE conversation = c;
        RETURN '{"v": "over"}';
    END IF;
    entries := symbl_left_1(NULL, c, at, '[]');
    seq := symbl_append_1(c, at, 'over', r->>'body');
    IF seq IS NOT NULL THEN
        UPDATE conversation SET ended = at WHERE id = c;
        entries := entries || jsonb_build_object('seq', seq, 'at', at, 'body', r->'body');
    END IF;
    RETURN jsonb_build_object('v', 'over', 'entries', entries);
END $$;

-- Notes that all that this node has in the conversation are sockets that are being closed, and
-- that this takes until then at most.
CREATE OR REPLACE FUNCTION symbl_closes_1(me text, r jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c bigint := (r->>'c')::bigint;
BEGIN
    PERFORM 1 FROM conversation WHERE id = c FOR NO KEY UPDATE;
    UPDATE seat SET closing = symbl_now_1() + (r->>'longest')::bigint
    WHERE conversation = c AND node = me;
    RETURN '{}';
END $$;

-- Returns true if all sockets of a conversation are being closed, on whatever nodes they are:
-- their clients decide if it is over. A node that is gone closes none any more.
CREATE OR REPLACE FUNCTION symbl_closing_1(c bigint) RETURNS boolean LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(bool_and(coalesce(closing > symbl_now_1(), false)), false)
    FROM seat JOIN node ON node.id = seat.node AND NOT node.gone WHERE conversation = c
$$;

-- Returns the conversation of a connection id, on whatever node it is. With `seat`, this
-- node gets a seat in it, and where none goes on, the new one `c` is that conversation. One of
-- which all sockets are being closed is only joined `regardless` of that.
CREATE OR REPLACE FUNCTION symbl_join_1(me text, r jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c bigint := (r->>'c')::bigint;
    seated boolean := (r->>'seat')::boolean;
    known room;
    con conversation;
    is_live boolean;
    seen record;
BEGIN
    IF NOT seated THEN
        -- One statement without a lock: it is written together with records of any conversations.
        SELECT room.conversation, room.session, t.id IS NOT NULL AS begun,
            t.ended IS NULL AND (coalesce(t.ends > symbl_now_1(), false)
                OR EXISTS (SELECT 1 FROM seat s WHERE s.conversation = room.conversation)) AS live,
            NOT EXISTS (SELECT 1 FROM seat s
                        WHERE s.conversation = room.conversation AND s.node <> me) AS waits
        INTO seen FROM room LEFT JOIN conversation t ON t.id = room.conversation
        WHERE room.account = r->>'account' AND room.connection = r->>'connection';
        IF NOT FOUND OR NOT seen.live THEN
            RETURN '{"v": "none"}';
        END IF;
        RETURN jsonb_build_object('v', 'known', 'c', seen.conversation,
            'session', seen.session, 'begun', seen.begun, 'waits', seen.waits);
    END IF;
    INSERT INTO room VALUES (r->>'account', r->>'connection', c, r->>'session', me)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO seat VALUES (c, me) ON CONFLICT DO NOTHING;
        RETURN '{"v": "new"}';
    END IF;
    SELECT * INTO known FROM room
    WHERE account = r->>'account' AND connection = r->>'connection' FOR UPDATE;
    IF FOUND THEN
        SELECT * INTO con FROM conversation WHERE id = known.conversation FOR NO KEY UPDATE;
        -- A seat of a node that is gone is swept soon, and counts until then.
        is_live := con.ended IS NULL AND (con.ends > symbl_now_1()
            OR EXISTS (SELECT 1 FROM seat WHERE conversation = known.conversation));
    END IF;
    IF coalesce(is_live, false) AND NOT (r->>'anew')::boolean THEN
        IF NOT (r->>'regardless')::boolean AND symbl_closing_1(known.conversation) THEN
            RETURN '{"v": "closing"}';
        END IF;
        INSERT INTO seat VALUES (known.conversation, me)
        ON CONFLICT (conversation, node) DO UPDATE SET closing = NULL;
        RETURN jsonb_build_object('v', 'known', 'c', known.conversation,
            'session', known.session, 'begun', con.id IS NOT NULL, 'waits', false);
    END IF;
    UPDATE room SET conversation = c, session = r->>'session', node = me
    WHERE account = r->>'account' AND connection = r->>'connection';
    IF NOT FOUND THEN
        -- It went away meanwhile.
        INSERT INTO room VALUES (r->>'account', r->>'connection', c, r->>'session', me)
        ON CONFLICT DO NOTHING;
    END IF;
    INSERT INTO seat VALUES (c, me) ON CONFLICT DO NOTHING;
    RETURN '{"v": "new"}';
END $$;

-- Counts a speaker's socket for its account, unless the nodes that live have as many as the
-- account may have. One that `returns` is counted in any case.
CREATE OR REPLACE FUNCTION symbl_claim_1(me text, r jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    taken bigint;
BEGIN
    PERFORM symbl_free_1(r);
    -- Claims of one account are decided one after the other. Each statement sees what was
    -- committed before it.
    PERFORM pg_advisory_xact_lock(1937337955, hashtext(r->>'account'));
    SELECT count(*) INTO taken FROM socket s JOIN node n ON n.id = s.node AND NOT n.gone
    WHERE s.account = r->>'account' AND s.id <> r->>'id';
    IF taken >= (r->>'most')::bigint AND NOT (r->>'returns')::boolean THEN
        RETURN '{"v": "full"}';
    END IF;
    INSERT INTO socket VALUES (r->>'id', r->>'account', me) ON CONFLICT DO NOTHING;
    RETURN '{"v": "counted"}';
END $$;

CREATE OR REPLACE FUNCTION symbl_free_1(r jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    DELETE FROM socket WHERE id = ANY(ARRAY(SELECT jsonb_array_elements_text(r->'free')));
    RETURN '{}';
END $$;

-- Takes up a conversation again, over or not, for its jobs: each has a connection id of its
-- own.
CREATE OR REPLACE FUNCTION symbl_reopen_1(me text, c bigint, new_end bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    con conversation;
BEGIN
    UPDATE conversation SET ended = NULL,
        ends = CASE WHEN ended IS NULL THEN greatest(ends, new_end) ELSE new_end END
    WHERE id = c RETURNING * INTO con;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO room (account, connection, conversation, session, node)
    SELECT con.account, job.id, c, con.session, me FROM job
    WHERE job.conversation = c AND job.status IN ('scheduled', 'in_progress')
    ON CONFLICT (account, connection) DO UPDATE SET conversation = excluded.conversation,
        session = excluded.session;
    RETURN true;
END $$;

-- Returns how far the logs of conversations are.
CREATE OR REPLACE FUNCTION symbl_heads_1(r jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_array(id, head, ended)), '[]') FROM conversation
    WHERE id = ANY(ARRAY(SELECT value::bigint FROM jsonb_array_elements_text(r->'of')))
$$;

-- Returns true if a node has compared its logs with this server, and others have not: they have five
-- seconds for that.
CREATE OR REPLACE FUNCTION symbl_early_1(me text) RETURNS boolean LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(bool_or(mine.compared > symbl_now_1() - 5000000000 AND EXISTS (
        SELECT 1 FROM node WHERE NOT gone AND server IS DISTINCT FROM mine.server)), false)
    FROM node mine WHERE mine.id = me
$$;

-- Writes records for a node, in this order, and answers each. The records must be sorted by
-- conversation, or two nodes that write at the same time could wait for each other.
CREATE OR REPLACE FUNCTION symbl_write_1(me text, records jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    r jsonb;
    mine node;
    answers jsonb := '[]';
BEGIN
    -- The lock keeps the node from being declared gone before this is committed.
    SELECT * INTO mine FROM node WHERE id = me AND NOT gone FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this node was not heard of for too long' USING ERRCODE = 'SYFEN';
    END IF;
    -- After a failover the others may know entries that come before these.
    IF mine.compared IS NOT NULL AND symbl_early_1(me) THEN
        RAISE EXCEPTION 'other nodes still compare their logs' USING ERRCODE = 'SYCMP';
    END IF;
    FOR r IN SELECT value FROM jsonb_array_elements(records) LOOP
        answers := answers || jsonb_build_array(CASE r->>'k'
            WHEN 'said' THEN symbl_said_1(r)
            WHEN 'start' THEN symbl_start_1(me, r)
            WHEN 'sent' THEN symbl_sent_1(r)
            WHEN 'closed' THEN symbl_closed_1(me, r)
            WHEN 'over' THEN symbl_over_1(me, r)
            WHEN 'left' THEN jsonb_build_object('entries',
                symbl_left_1(me, (r->>'c')::bigint, (r->>'at')::bigint, r->'here'))
            WHEN 'heads' THEN symbl_heads_1(r)
            WHEN 'join' THEN symbl_join_1(me, r)
            WHEN 'claim' THEN symbl_claim_1(me, r)
            WHEN 'free' THEN symbl_free_1(r)
            WHEN 'keep' THEN symbl_keep_1(r)
            WHEN 'closes' THEN symbl_closes_1(me, r)
            WHEN 'seats' THEN symbl_seats_1(me, r)
            WHEN 'unused' THEN symbl_unused_1(me, r)
            WHEN 'alive' THEN symbl_alive_1()
            ELSE '{}'
        END);
    END LOOP;
    RETURN answers;
END $$;

-- Fails if this role may not read and write all tables.
CREATE OR REPLACE FUNCTION symbl_alive_1() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    denied text;
BEGIN
    SELECT string_agg(privilege || ' on ' || name, ', ' ORDER BY name) INTO denied
    FROM unnest(ARRAY[
        'meta', 'node', 'conversation', 'room', 'seat', 'socket', 'member', 'entry', 'stream',
        'message', 'insight', 'topic', 'tracker', 'tracker_match', 'entity', 'kept_tracker',
        'bookmark', 'conversation_group', 'job', 'webhook'
    ]) name, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) privilege
    WHERE NOT has_table_privilege(name, privilege);
    IF denied IS NOT NULL THEN
        RAISE EXCEPTION 'the role may not %', denied USING ERRCODE = '42501';
    END IF;
    RETURN '{}';
END $$;

CREATE OR REPLACE FUNCTION symbl_keep_1(r jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    UPDATE conversation SET keep = (r->>'keep')::bigint WHERE id = (r->>'c')::bigint;
    RETURN '{}';
END $$;

-- Declares the nodes gone that were not heard of for a lease before the time `as_of`.
CREATE OR REPLACE FUNCTION symbl_gone_1(as_of bigint, lease bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    many bigint;
BEGIN
    -- One node at a time is enough.
    IF NOT pg_try_advisory_xact_lock(126957090859372) THEN
        RETURN 0;
    END IF;
    UPDATE node SET gone = true WHERE NOT gone AND beats < as_of - lease;
    GET DIAGNOSTICS many = ROW_COUNT;
    DELETE FROM room r USING conversation c WHERE c.id = r.conversation AND c.ended IS NOT NULL;
    DELETE FROM socket WHERE node NOT IN (SELECT id FROM node WHERE NOT gone);
    DELETE FROM node WHERE gone AND beats < symbl_now_1() - 86400000000000;
    RETURN many;
END $$;

-- Frees the seat of a node in a conversation. If nobody else is in it, one that has begun is over at
-- `last` unless a speaker comes, and one that has not is forgotten.
CREATE OR REPLACE FUNCTION symbl_vacate_1(holder text, c bigint, last bigint, at bigint)
RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    has_ended boolean;
    is_begun boolean;
BEGIN
    SELECT ended IS NOT NULL INTO has_ended FROM conversation WHERE id = c FOR NO KEY UPDATE;
    is_begun := FOUND;
    IF NOT is_begun THEN
        -- Joins of other nodes wait for this row. Those before have their seats by now.
        PERFORM 1 FROM room WHERE conversation = c FOR UPDATE;
    END IF;
    DELETE FROM seat WHERE conversation = c AND node = holder;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM 1 FROM seat WHERE conversation = c;
    IF FOUND THEN
        RETURN;
    END IF;
    IF NOT is_begun THEN
        DELETE FROM room WHERE conversation = c;
    ELSIF NOT has_ended THEN
        UPDATE conversation SET ends = last WHERE id = c;
        PERFORM symbl_append_1(c, at, 'closed', jsonb_build_object('v', 1, 'entry',
            jsonb_build_object('closed', jsonb_build_object('ends', last)))::text);
    END IF;
END $$;

-- Gives up the seat of this node in a conversation that none of its sockets is in. That ends when it
-- would have ended without that seat, and no earlier than now.
CREATE OR REPLACE FUNCTION symbl_unused_1(me text, r jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c bigint := (r->>'c')::bigint;
    last bigint := symbl_now_1();
BEGIN
    SELECT coalesce(t.ends, CASE WHEN EXISTS (SELECT 1 FROM member m
            WHERE m.conversation = c AND m.here) THEN last + t.keep * 1000000000 ELSE last END)
    INTO last FROM conversation t WHERE t.id = c FOR NO KEY UPDATE;
    PERFORM symbl_vacate_1(me, c, last, (r->>'at')::bigint);
    RETURN '{}';
END $$;

-- Returns a hundred seats of this node in other conversations than the `used` ones, each with all
-- pairs of an account and a connection id that lead to it.
CREATE OR REPLACE FUNCTION symbl_seats_1(me text, r jsonb) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('c', s.conversation, 'keys', (
        SELECT coalesce(jsonb_agg(jsonb_build_array(k.account, k.connection)), '[]')
        FROM (SELECT account, connection FROM conversation WHERE id = s.conversation
              UNION SELECT account, connection FROM room WHERE conversation = s.conversation) k
    ))), '[]')
    FROM (SELECT conversation FROM seat WHERE node = me AND NOT EXISTS (
              SELECT 1 FROM jsonb_array_elements_text(r->'used') used
              WHERE used.value::bigint = seat.conversation)
          ORDER BY conversation LIMIT 100) s
$$;

-- Frees a few seats of nodes that are gone, and returns how many: appends to these conversations
-- wait for all of them. A conversation that nobody else is in waits for
-- its speakers from the last sign of life of its last node.
CREATE OR REPLACE FUNCTION symbl_unseat_1(at bigint) RETURNS bigint LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    s record;
    last bigint;
    many bigint := 0;
BEGIN
    -- One node at a time is enough.
    IF NOT pg_try_advisory_xact_lock(126957090859372) THEN
        RETURN 0;
    END IF;
    FOR s IN SELECT seat.conversation AS c, seat.node AS node, n.beats AS beats FROM seat
             LEFT JOIN node n ON n.id = seat.node WHERE n.id IS NULL OR n.gone
             ORDER BY seat.conversation, n.beats, seat.node LIMIT 50 LOOP
        SELECT coalesce(s.beats, symbl_now_1()) + keep * 1000000000 INTO last
        FROM conversation WHERE id = s.c FOR NO KEY UPDATE;
        PERFORM symbl_vacate_1(s.node, s.c, last, at);
        many := many + 1;
    END LOOP;
    RETURN many;
END $$;

-- Ends a few of the conversations whose time is over, and returns how many. One that no node is in
-- and that has no such time waits for its speakers from now on.
CREATE OR REPLACE FUNCTION symbl_end_1(me text, body text) RETURNS bigint LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    con record;
    many bigint := 0;
BEGIN
    -- A server that has lost its last commits may have lost the seats of nodes that do not live any more.
    FOR con IN SELECT id FROM conversation c WHERE ended IS NULL AND ends IS NULL
               AND NOT EXISTS (SELECT 1 FROM seat WHERE conversation = c.id)
               ORDER BY id LIMIT 50 LOOP
        UPDATE conversation SET ends = symbl_now_1() + keep * 1000000000
        WHERE id = con.id AND ended IS NULL AND ends IS NULL
        AND NOT EXISTS (SELECT 1 FROM seat WHERE conversation = con.id);
    END LOOP;
    FOR con IN SELECT id, ends FROM conversation c WHERE ended IS NULL AND ends <= symbl_now_1()
               AND NOT EXISTS (SELECT 1 FROM seat WHERE conversation = c.id)
               ORDER BY id LIMIT 50 LOOP
        -- Somebody may have come meanwhile.
        PERFORM 1 FROM conversation WHERE id = con.id AND ends <= symbl_now_1() FOR NO KEY UPDATE;
        IF FOUND THEN
            PERFORM symbl_over_1(me, jsonb_build_object('c', con.id, 'at', con.ends, 'body', body));
            many := many + 1;
        END IF;
    END LOOP;
    RETURN many;
END $$;

-- Appends the entries that this server has lost and a node remembers, under their numbers.
-- `records` are its last entries of the conversation, in order, and `about` is what is known of
-- that. Returns up to which number both are the same, and how many entries were appended.
CREATE OR REPLACE FUNCTION symbl_fill_1(me text, about jsonb, records jsonb)
RETURNS bigint[] LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c bigint := (about->>'c')::bigint;
    r jsonb;
    m jsonb;
    top bigint;
    is_open boolean;
    num bigint;
    same bigint := 0;
    many bigint := 0;
BEGIN
    IF about ? 'created' THEN
        INSERT INTO conversation (id, account, connection, name, created, keep, session)
        VALUES (c, about->>'account', about->>'connection', about->>'title',
                (about->>'created')::bigint, (about->>'keep')::bigint, about->>'session')
        ON CONFLICT (id) DO NOTHING;
    END IF;
    SELECT head, ended IS NULL INTO top, is_open FROM conversation WHERE id = c FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN ARRAY[0, 0];
    END IF;
    -- What comes before the entries that the node remembers.
    same := least(top, (records->0->>'seq')::bigint - 1);
    FOR r IN SELECT value FROM jsonb_array_elements(records) LOOP
        num := (r->>'seq')::bigint;
        IF num <= top THEN
            PERFORM 1 FROM entry WHERE conversation = c AND seq = num
                AND at = (r->>'at')::bigint AND kind = r->>'kind';
            EXIT WHEN NOT FOUND;
            same := num;
            CONTINUE;
        END IF;
        EXIT WHEN NOT is_open OR num <> same + 1;
        CASE r->>'kind'
            WHEN 'said' THEN
                PERFORM symbl_said_1(r);
            WHEN 'sent' THEN
                PERFORM symbl_sent_1(r);
            ELSE
                PERFORM symbl_append_1(c, (r->>'at')::bigint, r->>'kind', r->>'body');
        END CASE;
        SELECT head INTO top FROM conversation WHERE id = c;
        IF top <> num THEN
            RAISE EXCEPTION 'the entry % is not taken', num;
        END IF;
        m := r->'member';
        CASE r->>'kind'
            WHEN 'member' THEN
                INSERT INTO member VALUES (c, m->>'id', m->>'user_id', m->>'name', true, me)
                ON CONFLICT (conversation, id) DO UPDATE
                SET user_id = excluded.user_id, name = excluded.name, here = true, node = me;
                UPDATE conversation SET ends = NULL WHERE id = c;
            WHEN 'renamed' THEN
                UPDATE member SET user_id = m->>'user_id', name = m->>'name'
                WHERE conversation = c AND id = m->>'id';
            WHEN 'left' THEN
                UPDATE member SET here = false WHERE conversation = c AND id = m->>'id';
            WHEN 'closed' THEN
                UPDATE conversation SET ends = (r->>'ends')::bigint WHERE id = c;
            WHEN 'attributed' THEN
                UPDATE message SET speaker = x.speaker
                FROM jsonb_to_recordset(r->'attributed') AS x(id bigint, speaker text)
                WHERE message.id = x.id AND message.conversation = c;
            ELSE
                NULL;
        END CASE;
        same := num;
        many := many + 1;
    END LOOP;
    RETURN ARRAY[same, many];
END $$;
