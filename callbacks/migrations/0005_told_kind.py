"""In: pushes that came to one address for all. Out: a place for what their platform calls them.

Those that were read before stay without a name until they are processed again.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("callbacks", "0004_room_for_claims")]
    operations = [
        migrations.AddField(
            "receipt",
            "told_kind",
            models.CharField(blank=True, db_default="", editable=False, max_length=64),
        )
    ]
