"""The one exception that commands turn into a single line and a non-zero exit."""


class UserError(Exception):
    """Something the user can put right: a file, a key or a value.

    The message is one line that names the file or key, what was found and what to do.
    """
