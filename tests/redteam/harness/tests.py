#!/usr/bin/env python3
"""That the harness can fail. Run by make redteam."""

import pathlib
import socket
import tempfile
import types
import unittest

import injection
import main

FOUND = """sqlmap identified the following injection point(s) with a total of 50 HTTP(s) requests:
---
Parameter: id (GET)
    Type: boolean-based blind
---
"""
NOT_FOUND = "[WARNING] GET parameter 'id' does not seem to be injectable\n"


class Injection(unittest.TestCase):
    def setUp(self):
        self.foreign = injection.Values([["Lena Brown of Nowhere"]])
        self.own = injection.Values([["Elena Brown of Here"]])

    def judge(self, text):
        site = types.SimpleNamespace(count=1)
        return injection.judge(text, self.foreign, self.own, site)[1:]

    def test_what_was_not_attacked_has_not_passed(self):
        self.assertEqual(self.judge(NOT_FOUND + "Elena Brown of Here"), (False, False))
        self.assertEqual(self.judge(FOUND), (False, False))

    def test_what_was_attacked_has_passed_or_leaked(self):
        self.assertEqual(self.judge(FOUND + "Elena Brown of Here"), (True, False))
        text = FOUND + "Elena Brown of Here\nLena Brown of Nowhere"
        self.assertEqual(self.judge(text), (True, True))

    def test_a_gateway_in_trouble_has_not_passed(self):
        self.assertTrue(injection.is_well(True, False, [], False))
        self.assertFalse(injection.is_well(True, False, ["the gateway ended by itself"], False))


class Resets(unittest.TestCase):
    def test_a_reset_that_fails_is_answered_and_told(self):
        def restart():
            raise OSError("no room")

        postern = types.SimpleNamespace(troubles=[], lives=lambda: False, restart=restart)
        with tempfile.TemporaryDirectory() as own:
            resets = main.Resets(pathlib.Path(own), postern)
            for count in (1, 2):
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(10)
                    client.connect(resets.path)
                    client.sendall(b"agent01\n")
                    self.assertEqual(client.recv(1), b"")
                self.assertEqual(postern.troubles, ["OSError: no room"] * count)
            resets.listener.close()


if __name__ == "__main__":
    unittest.main()
