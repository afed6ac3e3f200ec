"""The project's commands, run in this process."""

import contextlib

import fastmlp
import fastmlp.train


def runner(main, capsys):
    """What calls ``main`` with options and gives the status, stdout and stderr."""

    def run(*options):
        capsys.readouterr()
        try:
            status = main([str(option) for option in options])
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return run


@contextlib.contextmanager
def ctrl_c_in_epoch(epoch, monkeypatch):
    """Ctrl-C ends `fastmlp.train` when that epoch begins."""

    class CtrlC(fastmlp.Callback):
        def on_epoch_begin(self, model, number):
            if number == epoch:
                raise KeyboardInterrupt

    writers = fastmlp.train._writers
    with monkeypatch.context() as patch:
        patch.setattr(fastmlp.train, "_writers", lambda config: [*writers(config), CtrlC()])
        yield
