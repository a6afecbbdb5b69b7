"""In: calls. Out: tables of how many there are, and triggers that note where a number changes.

A statement that writes calls leaves at most one mark for each account, task and quarter of an hour
in which something that is counted is not as before. It adds no number up: no two transactions wait
for one row. A quarter, since the hours of every zone begin with one.
"""

import django.db.models.deletion
import django.db.models.functions.comparison
from django.db import migrations, models

QUARTER = "date_bin('15 minutes', happened_at, timestamptz 'epoch')"
TOLD = f"""
    account_id, {QUARTER} AS begins_at, task_id, robot_id, contact_id, direction, result,
    intention, answered, talk_seconds, turns_count
"""
COUNTED = "has_record OR turns_count > 0"
FORWARD = f"""
CREATE FUNCTION campaigns_mark_calls() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO campaigns_callmark (account_id, begins_at, task_id)
        SELECT DISTINCT account_id, {QUARTER}, task_id FROM told WHERE {COUNTED};
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO campaigns_callmark (account_id, begins_at, task_id)
        SELECT DISTINCT account_id, {QUARTER}, task_id FROM known WHERE {COUNTED};
    ELSE
        -- What is as often among the old rows as among the new ones changes no number. Not a join:
        -- its plan would be that of the first statement, which may have had one row.
        INSERT INTO campaigns_callmark (account_id, begins_at, task_id)
        SELECT DISTINCT account_id, begins_at, task_id FROM (
            SELECT account_id, begins_at, task_id
            FROM (
                SELECT {TOLD}, 1 AS n FROM told WHERE {COUNTED}
                UNION ALL
                SELECT {TOLD}, -1 AS n FROM known WHERE {COUNTED}
            ) AS both_sides
            GROUP BY account_id, begins_at, task_id, robot_id, contact_id, direction, result,
                intention, answered, talk_seconds, turns_count
            HAVING sum(n) <> 0
        ) AS changed;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER campaigns_call_told AFTER INSERT ON campaigns_call
REFERENCING NEW TABLE AS told
FOR EACH STATEMENT EXECUTE FUNCTION campaigns_mark_calls();
CREATE TRIGGER campaigns_call_corrected AFTER UPDATE ON campaigns_call
REFERENCING OLD TABLE AS known NEW TABLE AS told
FOR EACH STATEMENT EXECUTE FUNCTION campaigns_mark_calls();
CREATE TRIGGER campaigns_call_gone AFTER DELETE ON campaigns_call
REFERENCING OLD TABLE AS known
FOR EACH STATEMENT EXECUTE FUNCTION campaigns_mark_calls();
INSERT INTO campaigns_callmark (account_id, begins_at, task_id)
SELECT DISTINCT account_id, {QUARTER}, task_id FROM campaigns_call WHERE {COUNTED};
"""
BACKWARD = """
DROP TRIGGER campaigns_call_told ON campaigns_call;
DROP TRIGGER campaigns_call_corrected ON campaigns_call;
DROP TRIGGER campaigns_call_gone ON campaigns_call;
DROP FUNCTION campaigns_mark_calls();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0038_figures_and_versions'),
    ]

    operations = [
        migrations.CreateModel(
            name='CallMark',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('account_id', models.BigIntegerField()),
                ('begins_at', models.DateTimeField()),
                ('task_id', models.BigIntegerField(null=True)),
            ],
            options={
                'verbose_name': 'calls to be counted',
                'verbose_name_plural': 'calls to be counted',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='CountState',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('counted_at', models.DateTimeField(null=True)),
                ('took_ms', models.PositiveIntegerField(default=0)),
                ('zone', models.CharField(blank=True, max_length=64)),
                ('whole_at', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name': 'state of counting',
                'verbose_name_plural': 'states of counting',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='TaskCount',
            fields=[
                ('task', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='count', serialize=False, to='campaigns.task', verbose_name='task')),
                ('contacts', models.JSONField(default=dict)),
                ('counted_at', models.DateTimeField(null=True)),
                ('took_ms', models.PositiveIntegerField(default=0)),
                ('calls_changed_at', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name': 'numbers of a task',
                'verbose_name_plural': 'numbers of tasks',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='CallDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('direction', models.CharField(blank=True, max_length=10)),
                ('result', models.CharField(max_length=20)),
                ('intention', models.CharField(blank=True, max_length=50)),
                ('calls', models.IntegerField()),
                ('answered', models.IntegerField()),
                ('reached', models.IntegerField()),
                ('unknown', models.IntegerField()),
                ('timed', models.IntegerField()),
                ('talked', models.IntegerField()),
                ('talk_seconds', models.BigIntegerField()),
                ('day', models.DateField()),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='campaigns.account')),
                ('robot', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='campaigns.robot')),
                ('task', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='campaigns.task')),
            ],
            options={
                'verbose_name': 'calls of a day',
                'verbose_name_plural': 'calls by day',
                'default_permissions': (),
                'indexes': [models.Index(condition=models.Q(('task', None), _negated=True), fields=['task', 'day'], name='callday_task'), models.Index(condition=models.Q(('robot', None), _negated=True), fields=['robot', 'day'], name='callday_robot')],
                'constraints': [models.UniqueConstraint(models.F('day'), models.F('account'), django.db.models.functions.comparison.Coalesce('task', models.Value(0, models.BigIntegerField())), django.db.models.functions.comparison.Coalesce('robot', models.Value(0, models.BigIntegerField())), models.F('direction'), models.F('result'), models.F('intention'), name='one_count_a_day')],
            },
        ),
        migrations.CreateModel(
            name='CallHour',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('direction', models.CharField(blank=True, max_length=10)),
                ('result', models.CharField(max_length=20)),
                ('intention', models.CharField(blank=True, max_length=50)),
                ('calls', models.IntegerField()),
                ('answered', models.IntegerField()),
                ('reached', models.IntegerField()),
                ('unknown', models.IntegerField()),
                ('timed', models.IntegerField()),
                ('talked', models.IntegerField()),
                ('talk_seconds', models.BigIntegerField()),
                ('begins_at', models.DateTimeField()),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='campaigns.account')),
                ('robot', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='campaigns.robot')),
                ('task', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='campaigns.task')),
            ],
            options={
                'verbose_name': 'calls of an hour',
                'verbose_name_plural': 'calls by hour',
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(models.F('begins_at'), models.F('account'), django.db.models.functions.comparison.Coalesce('task', models.Value(0, models.BigIntegerField())), django.db.models.functions.comparison.Coalesce('robot', models.Value(0, models.BigIntegerField())), models.F('direction'), models.F('result'), models.F('intention'), name='one_count_an_hour')],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
