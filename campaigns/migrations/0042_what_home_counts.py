"""In: tables that the first screen reads. Out: what it shows of them is counted without reading
them whole."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0041_roles_of_exports'),
    ]

    operations = [
        migrations.AddField(
            model_name='taskcount',
            name='silent',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddIndex(
            model_name='recording',
            index=models.Index(condition=models.Q(('deleted_at', None), ('status', 'unavailable')), fields=['-id'], name='recording_lost'),
        ),
    ]
