"""`hitl-receiver completion`: prints the script with which a shell completes commands, options and values."""

import click
from click.shell_completion import get_completion_class

from service.cli.options import NameChoice
from service.cli.output import echo_lines

_PROGRAM = "hitl-receiver"
#: The variable with which a shell asks click for a completion.
_VARIABLE = "_HITL_RECEIVER_COMPLETE"


@click.command()
@click.argument("shell", type=NameChoice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell: for commands, options and their values.

    \b
    echo 'eval "$(hitl-receiver completion bash)"' >> ~/.bashrc
    echo 'eval "$(hitl-receiver completion zsh)"' >> ~/.zshrc
    hitl-receiver completion fish > ~/.config/fish/completions/hitl-receiver.fish
    """
    completion_class = get_completion_class(shell)
    assert completion_class is not None
    echo_lines(completion_class(ctx.find_root().command, {}, _PROGRAM, _VARIABLE).source().strip())
