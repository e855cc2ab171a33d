"""Django's test runner, which also writes a line of JSON for each test to the file RESULTS."""

import json
import os
import signal
import traceback
import unittest

from django.test.runner import DiscoverRunner

# No test takes as long. One that waits for what never comes fails, and the others go on.
TEST_SECONDS = 120


def out_of_time(*_):
    raise TimeoutError(f"this test takes longer than {TEST_SECONDS} s")


class Result(unittest.TextTestResult):
    """Tells of each test once, when it has ended: the worst of what it and its parts came to."""

    def startTest(self, test):
        super().startTest(test)
        self.told = ("passed", "")
        signal.signal(signal.SIGALRM, out_of_time)
        signal.alarm(TEST_SECONDS)

    def stopTest(self, test):
        signal.alarm(0)
        self.tell(test.id(), *self.told)
        super().stopTest(test)

    def tell(self, name, outcome, detail):
        with open(os.environ["RESULTS"], "a") as file:
            print(json.dumps({"test": name, "outcome": outcome, "detail": detail}), file=file)

    def failed(self, error):
        self.told = ("failed", "".join(traceback.format_exception(*error)))

    def addError(self, test, err):
        super().addError(test, err)
        if hasattr(test, "_testMethodName"):
            self.failed(err)
        else:
            # The set-up of a class or a module: none of its tests is run.
            self.tell(test.id(), "failed", "".join(traceback.format_exception(*err)))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.failed(err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.failed(err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        if hasattr(test, "_testMethodName"):
            self.told = ("skipped", "")

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.told = ("skipped", "")


class Runner(DiscoverRunner):
    def get_resultclass(self):
        return Result
