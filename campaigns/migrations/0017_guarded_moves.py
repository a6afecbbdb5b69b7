"""In: the tables of contacts, batches and attempts. Out: triggers that refuse what must never be.

Whoever writes, and however: a contact, a batch or an attempt goes only where ``lifecycle.MOVES``
lets it go, above all never from ``sending`` back to ``planned``; and an attempt that was, or may
have been, carried out is neither deleted from its batch nor moved to another one. The moves are
written out here, because a migration must stay what it was: ``test_guards`` compares them with
``MOVES``, and a change there needs a migration like this one.

The condition is in the ``WHEN`` of the trigger, so that a legal move costs an expression and no
call. The triggers fire *after* the row was written: PostgreSQL locks each row once more before a
trigger that fires before it.
"""

from django.db import migrations

MOVES = {
    "campaigns_contact": """
        (OLD.status = 'accepted'
            AND NEW.status IN ('finished', 'rejected', 'withdrawn', 'unknown', 'ready'))
        OR (OLD.status = 'planned'
            AND NEW.status IN ('sending', 'ready', 'excluded', 'withdrawn'))
        OR (OLD.status = 'sending'
            AND NEW.status IN ('accepted', 'rejected', 'unknown', 'ready'))
        OR (OLD.status = 'ready' AND NEW.status IN ('planned', 'excluded', 'withdrawn'))
        OR (OLD.status = 'unknown'
            AND NEW.status IN ('accepted', 'rejected', 'ready', 'finished', 'withdrawn'))
        OR (OLD.status = 'excluded' AND NEW.status = 'ready')
        OR (OLD.status = 'withdrawn' AND NEW.status = 'finished')
    """,
    "campaigns_batch": """
        (OLD.status = 'planned' AND NEW.status IN ('sending', 'withdrawn'))
        OR (OLD.status = 'sending'
            AND NEW.status IN ('accepted', 'refused', 'not_sent', 'unknown'))
        OR (OLD.status = 'unknown' AND NEW.status IN ('accepted', 'refused', 'not_sent'))
    """,
    "campaigns_attempt": """
        (OLD.status = 'sending'
            AND NEW.status IN ('accepted', 'refused', 'not_sent', 'unknown'))
        OR (OLD.status = 'unknown'
            AND NEW.status IN ('confirmed_accepted', 'confirmed_absent', 'needs_human'))
        OR (OLD.status = 'needs_human'
            AND NEW.status IN ('human_accepted', 'human_resend', 'confirmed_accepted'))
    """,
}

REFUSE = """
CREATE FUNCTION callboard_refuse_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% %: nothing leads from % to %', TG_TABLE_NAME, OLD.id, OLD.status, NEW.status
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END $$;

CREATE FUNCTION callboard_keep_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- with its batch, or with its task, it may go once it is settled
    IF TG_OP = 'DELETE' AND OLD.status NOT IN ('sending', 'unknown', 'needs_human')
        AND NOT EXISTS (SELECT FROM campaigns_batch WHERE id = OLD.batch_id)
    THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'campaigns_attempt %: what may have been carried out stays', OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END $$;

CREATE CONSTRAINT TRIGGER attempt_stays AFTER DELETE ON campaigns_attempt
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (
        OLD.status IN ('sending', 'unknown', 'needs_human')
        OR (OLD.batch_id IS NOT NULL
            AND OLD.status IN ('accepted', 'confirmed_accepted', 'human_accepted'))
    ) EXECUTE FUNCTION callboard_keep_attempt();

CREATE TRIGGER attempt_keeps_its_batch
    AFTER UPDATE OF batch_id, task_id, command ON campaigns_attempt FOR EACH ROW WHEN (
        OLD.batch_id IS DISTINCT FROM NEW.batch_id
        OR OLD.task_id <> NEW.task_id OR OLD.command <> NEW.command
    ) EXECUTE FUNCTION callboard_keep_attempt();
"""

FORGET = """
DROP TRIGGER attempt_keeps_its_batch ON campaigns_attempt;
DROP TRIGGER attempt_stays ON campaigns_attempt;
DROP FUNCTION callboard_keep_attempt();
DROP FUNCTION callboard_refuse_move();
"""


def guard(table: str) -> migrations.RunSQL:
    name = f"{table.removeprefix('campaigns_')}_moves"
    return migrations.RunSQL(
        f"CREATE TRIGGER {name} AFTER UPDATE OF status ON {table} FOR EACH ROW"
        f" WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ({MOVES[table]}))"
        " EXECUTE FUNCTION callboard_refuse_move()",
        f"DROP TRIGGER {name} ON {table}",
    )


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0016_told_by_itself")]
    operations = [migrations.RunSQL(REFUSE, FORGET), *map(guard, MOVES)]
