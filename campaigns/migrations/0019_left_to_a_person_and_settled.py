"""In: the guard of attempts. Out: the same, which lets one that was left to a person turn out never
to have been carried out: its sender came back late, or its task was deleted."""

from django.db import migrations

MOVES = """
    (OLD.status = 'sending'
        AND NEW.status IN ('accepted', 'refused', 'not_sent', 'unknown'))
    OR (OLD.status = 'unknown'
        AND NEW.status IN ('confirmed_accepted', 'confirmed_absent', 'needs_human'))
    OR (OLD.status = 'needs_human' AND NEW.status IN ({needs_human}))
"""
REPLACE = """
DROP TRIGGER attempt_moves ON campaigns_attempt;
CREATE TRIGGER attempt_moves AFTER UPDATE OF status ON campaigns_attempt FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status AND NOT ({moves}))
    EXECUTE FUNCTION callboard_refuse_move();
"""
OLD = "'human_accepted', 'human_resend', 'confirmed_accepted'"
NEW = f"{OLD}, 'confirmed_absent'"


def replace(allowed: str) -> str:
    return REPLACE.format(moves=MOVES.format(needs_human=allowed))


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0018_places_of_batches")]
    operations = [migrations.RunSQL(replace(NEW), replace(OLD))]
