import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('campaigns', '0042_what_home_counts'),
    ]

    operations = [
        migrations.AddField(
            model_name='robotversion',
            name='begins_at',
            field=models.DateTimeField(default=django.utils.timezone.now, verbose_name='from'),
            preserve_default=False,
        ),
        migrations.AlterModelOptions(
            name='robotversion',
            options={'default_permissions': (), 'ordering': ['robot_id', 'number'], 'verbose_name': 'version of a robot', 'verbose_name_plural': 'versions of robots'},
        ),
    ]
