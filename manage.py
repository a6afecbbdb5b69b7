#!/usr/bin/env python
"""In: a command line. Out: the command run. Without ``DATABASE_URL`` the private server is used."""

import os
import sys

#: commands that touch no database: none is started for them
WITHOUT_DATABASE = {"sandbox", "up", "makemessages", "compilemessages", "check_translations"} | {
    "platforms_table"
}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if len(sys.argv) > 1 and sys.argv[1] in WITHOUT_DATABASE:
        os.environ["CALLBOARD_DATABASE"] = "none"
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    from django.core.management import execute_from_command_line  # noqa: PLC0415

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
