"""`fairlead completion`: what a shell has to know to complete commands and options."""

import click

VARIABLE = "_FAIRLEAD_COMPLETE"
"""By it a shell asks `fairlead` what may follow; click derives the name from the program's."""

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that completes commands and options.

    \b
    bash  echo 'eval "$(fairlead completion bash)"' >> ~/.bashrc
    zsh   echo 'eval "$(fairlead completion zsh)"' >> ~/.zshrc
    fish  fairlead completion fish > ~/.config/fish/completions/fairlead.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # SHELLS are all known to click
    made = kind(click.get_current_context().find_root().command, {}, "fairlead", VARIABLE)
    # Not `source()`: for bash it looks whether there is one here, which is nobody's business but the reader's.
    click.echo(made.source_template % made.source_vars())
