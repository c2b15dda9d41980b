"""A mail server (Debian's aiosmtpd) that writes down what it gets, and fails in the way that a file names.

receiver.py FOLDER [CERTIFICATE KEY]: the port goes to FOLDER/port, each mail to FOLDER/mails.jsonl, how to behave
is read from FOLDER/mode at every step. With a certificate it asks for STARTTLS, and for ada / p@ss:word.
"""

import asyncio
import json
import os
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

FOLDER = pathlib.Path(sys.argv[1])


def mode():
    return (FOLDER / "mode").read_text().strip()


def note(name, line):
    with open(FOLDER / name, "a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


async def while_mode(name):
    while mode() == name:
        await asyncio.sleep(0.02)


class Server(SMTP):
    """What a handler cannot do: fail before or in the middle of a mail."""

    async def _handle_client(self):
        note("steps", "connected")
        await while_mode("silent")
        await super()._handle_client()

    async def smtp_DATA(self, arg):
        note("steps", "data")
        if mode() == "close-in-data":
            await self.push("354 go on")
            self.transport.close()
            return
        if mode() == "hang-in-data":
            await self.push("354 go on")
            await while_mode("hang-in-data")
            self.transport.close()
            return
        await super().smtp_DATA(arg)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if mode() == "refuse":
            return "550 5.1.1 no such person here"
        if mode() == "later":
            return "451 4.7.1 not now"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        text = envelope.content.decode("utf-8", "surrogateescape")
        mail = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "text": text, "tls": session.ssl is not None}
        note("mails.jsonl", json.dumps(mail))
        await while_mode("hold")
        note("steps", "answered")
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    right = (data.login, data.password) == (b"ada", b"p@ss:word")
    return AuthResult(success=right, handled=right)


async def main():
    options = {}
    if len(sys.argv) > 2:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        options = {
            "tls_context": context,
            "require_starttls": True,
            "auth_required": True,
            "authenticator": authenticate,
        }
    make = lambda: Server(Handler(), enable_SMTPUTF8=True, hostname="receiver", **options)
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    (FOLDER / "port.new").write_text(str(server.sockets[0].getsockname()[1]))
    (FOLDER / "port.new").rename(FOLDER / "port")
    await server.serve_forever()


asyncio.run(main())
