"""The playground: edit a prompt, see in seconds what it does to the dev score and to which rows."""
