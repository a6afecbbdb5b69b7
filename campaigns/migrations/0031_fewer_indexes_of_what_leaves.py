"""In: the tables that every batch writes. Out: indexes that nothing needs are gone.

Each contact is written four times on its way, and each time every index is. One on number and task
serves who looks for a number, wherever or in one task; nobody asks for all contacts of an account;
the others were the beginning of another index.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0030_fewer_indexes_of_pushes'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='contact',
            name='contact_task_phone',
        ),
        migrations.RemoveIndex(
            model_name='contact',
            name='contact_phone',
        ),
        migrations.AlterField(
            model_name='batch',
            name='task',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='batches', to='campaigns.task', verbose_name='task'),
        ),
        migrations.AlterField(
            model_name='contact',
            name='account',
            field=models.ForeignKey(db_index=False, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='campaigns.account'),
        ),
        migrations.AlterField(
            model_name='exchange',
            name='account',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='exchanges', to='campaigns.account', verbose_name='account'),
        ),
        migrations.AlterField(
            model_name='exchange',
            name='task',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='exchanges', to='campaigns.task', verbose_name='task'),
        ),
        migrations.AddIndex(
            model_name='contact',
            index=models.Index(fields=['phone', 'task'], name='contact_phone_task'),
        ),
    ]
