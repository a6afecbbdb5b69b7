"""In: the contacts. Out: the same rows, which are written alone while a batch is handed over.

Each contact is written twice on its way to a platform, and each time every index of the table was
written too, since some of them named what changes. Now none does: ``stage`` is the same for a
contact that is planned, sending and accepted, the platform's ids have a narrow table of their own,
and the pages have room for what a row is next. The table is written anew, once.
"""

from django.db import migrations, models

ROOM = "ALTER TABLE campaigns_contact SET (fillfactor = 50)"
NO_ROOM = "ALTER TABLE campaigns_contact RESET (fillfactor)"

# The acceptance of a batch says so and writes the names itself: a call of a function for each of
# fifty contacts would cost more than all else that it does.
NAMES = """
INSERT INTO campaigns_contactname (platform_contact_id, contact_id)
SELECT platform_contact_id, id FROM campaigns_contact WHERE platform_contact_id <> '';

CREATE FUNCTION campaigns_name_contact() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM campaigns_contactname
        WHERE platform_contact_id = OLD.platform_contact_id AND contact_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.platform_contact_id <> '' THEN
        INSERT INTO campaigns_contactname (platform_contact_id, contact_id)
        VALUES (NEW.platform_contact_id, NEW.id) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER contact_is_named AFTER INSERT ON campaigns_contact
    FOR EACH ROW WHEN (NEW.platform_contact_id <> '') EXECUTE FUNCTION campaigns_name_contact();
CREATE TRIGGER contact_is_renamed AFTER UPDATE OF platform_contact_id ON campaigns_contact
    FOR EACH ROW WHEN (
        OLD.platform_contact_id <> NEW.platform_contact_id AND NOT (
            OLD.status = 'sending' AND NEW.status = 'accepted' AND OLD.platform_contact_id = ''
            AND coalesce(current_setting('callboard.accepting', true), '') = 'on'
        )
    ) EXECUTE FUNCTION campaigns_name_contact();
CREATE TRIGGER contact_name_goes AFTER DELETE ON campaigns_contact
    FOR EACH ROW WHEN (OLD.platform_contact_id <> '') EXECUTE FUNCTION campaigns_name_contact();
"""
NO_NAMES = """
DROP TRIGGER contact_name_goes ON campaigns_contact;
DROP TRIGGER contact_is_renamed ON campaigns_contact;
DROP TRIGGER contact_is_named ON campaigns_contact;
DROP FUNCTION campaigns_name_contact();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0048_period_of_contexts'),
    ]

    operations = [
        migrations.CreateModel(
            name='ContactName',
            fields=[
                ('pk', models.CompositePrimaryKey('platform_contact_id', 'contact_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('platform_contact_id', models.CharField(max_length=100)),
                ('contact_id', models.BigIntegerField()),
            ],
            options={
                'verbose_name': 'platform id',
                'verbose_name_plural': 'platform ids',
                'default_permissions': (),
            },
        ),
        migrations.RemoveConstraint(
            model_name='contact',
            name='one_unsettled_contact',
        ),
        migrations.RemoveIndex(
            model_name='contact',
            name='contact_task_status',
        ),
        migrations.RemoveIndex(
            model_name='contact',
            name='contact_platform_id',
        ),
        migrations.RunSQL(ROOM, NO_ROOM),
        migrations.AddField(
            model_name='contact',
            name='stage',
            field=models.GeneratedField(db_persist=True, expression=models.Case(models.When(status__in=['planned', 'sending', 'accepted'], then=models.Value('moving')), default=models.F('status'), output_field=models.CharField(max_length=10)), output_field=models.CharField(max_length=10)),
        ),
        migrations.AddIndex(
            model_name='contact',
            index=models.Index(fields=['task', 'stage', 'id'], name='contact_task_stage'),
        ),
        migrations.AddConstraint(
            model_name='contact',
            constraint=models.UniqueConstraint(condition=models.Q(('stage__in', ['moving', 'unknown'])), fields=('account', 'phone', 'family_id', 'round'), name='one_unsettled_contact'),
        ),
        migrations.RunSQL(NAMES, NO_NAMES),
    ]
