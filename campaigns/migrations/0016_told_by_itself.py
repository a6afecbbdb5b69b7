"""Contacts moved by a batch have no history rows of their own. Two moves could not be told later:
that a contact left a batch (it goes on to another one), and that it was excluded on the way. The
database writes these down itself, whoever moves the contact; a contact that goes its usual way
costs nothing but the comparison."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION campaigns_tell_contact() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO campaigns_statuschange (subject, subject_id, old, new, reason, "values", at)
    VALUES (
        'contact', NEW.id, OLD.status, NEW.status, NEW.reason,
        NEW.reason_values || jsonb_build_object('batch', OLD.batch_id), clock_timestamp()
    );
    RETURN NULL;
END
$$;
CREATE TRIGGER campaigns_contact_told AFTER UPDATE OF status, batch_id ON campaigns_contact
FOR EACH ROW WHEN (
    (OLD.status <> 'excluded' AND NEW.status = 'excluded')
    OR (
        OLD.batch_id IS NOT NULL AND OLD.batch_id IS DISTINCT FROM NEW.batch_id
        AND NEW.status <> 'withdrawn'
    )
)
EXECUTE FUNCTION campaigns_tell_contact();
"""
BACKWARD = """
DROP TRIGGER campaigns_contact_told ON campaigns_contact;
DROP FUNCTION campaigns_tell_contact();
"""


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0015_pace_of_calls")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
