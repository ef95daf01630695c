"""Commands about jobs that are not submitted yet: job check."""

from pathlib import Path
from typing import Annotated

import typer

from tuning_service.cli import exits, output
from tuning_service.cli.options import AsJson, Key, Url, connect
from tuning_service.domain.texts import counted

job = typer.Typer(no_args_is_help=True, help="Job files before they are submitted.")


@job.command("check", epilog="Example: tuning-service job check job.yaml --samples 3")
def check(
    job_file: Annotated[Path, typer.Argument(metavar="JOB.yaml", help="The job file, YAML or JSON.")],
    program: Annotated[
        Path | None, typer.Option(help="Folder with the program, instead of the one that the file names.")
    ] = None,
    samples: Annotated[int, typer.Option(min=0, max=50, help="How many configurations of its space to show.")] = 5,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the samples; default: the file's own.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Check a job file as a submission would, and show configurations of its space. Nothing is uploaded or stored.

    Exits with 2 when it would be refused. What depends on the program is checked when that was uploaded before.
    """
    from tuning_service.client.job_files import program_folder, read_job_file
    from tuning_service.runner import bundle

    document, place = read_job_file(job_file)
    folder = program_folder(document, job_file.parent, program)
    if folder is not None:
        document["program"] = bundle.digest(bundle.pack(folder))
    with connect(url, key) as client:
        preview = client.preview(document, samples=samples, seed=seed)
    if folder is not None:
        # It is uploaded with the job.
        preview["problems"] = [problem for problem in preview["problems"] if problem["field"] != "program"]
    for problem in preview["problems"]:
        problem["line"], problem["column"] = place(problem["field"]) or (None, None)
    if as_json:
        output.print_json(preview)
    else:
        _show(preview)
    if preview["problems"]:
        raise typer.Exit(exits.INVALID)


def _show(preview: output.JsonDict) -> None:
    for problem in preview["problems"]:
        where = "" if problem["line"] is None else f"line {problem['line']}: "
        output.say(f"{where}{problem['field']}: {problem['message']} {problem['remedy']}".rstrip())
    if not preview["problems"]:
        output.say("Nothing is wrong.")
    size = preview["grid_size"]
    if size is not None:
        output.say(f"The space has {counted(size, 'configuration')}.")
    for note in preview["notes"]:
        output.say(note)
    for params in preview["samples"]:
        output.say(f"  {output.cell(params)}")
