# SPDX-License-Identifier: Apache-2.0
"""A client of confidential tasks, written from the contract alone; needs python3-cryptography."""
import base64
import json
import os

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def derive(secret, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info.encode()).derive(secret)


class Sealed:
    """One task for one node; `recipient` is the key as the directory tells it."""
    def __init__(self, recipient, task_id, intent):
        self.recipient, self.task_id, self.intent = recipient, task_id, intent
        own = X25519PrivateKey.generate()
        self.ephemeral = own.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.secret = own.exchange(X25519PublicKey.from_public_bytes(decode(recipient["key"])))

    def envelope(self, payload, **changes):
        """The member iicp_conf. A payload of bytes goes in as it is."""
        plain = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        nonce, aad = os.urandom(12), (self.task_id + "|" + self.intent).encode()
        key = derive(self.secret, nonce, "IICP-CX-v1" + self.task_id + self.intent)
        conf = {"version": 1, "recipient_key_id": self.recipient["key_id"], "kem_ciphertext": encode(self.ephemeral),
                "nonce": encode(nonce), "aad": encode(aad), "encrypted_body": encode(AESGCM(key).encrypt(nonce, plain, aad)),
                "plaintext_size": len(plain)}
        conf.update(changes)
        return {k: v for k, v in conf.items() if v is not None}

    def request(self, payload, reply=False, conf=None, **members):
        body = {"task_id": self.task_id, "intent": self.intent, "iicp_conf": conf or self.envelope(payload), **members}
        if reply:
            body["cx_response_encryption"] = "required"
        return json.dumps(body)

    def open(self, answer):
        """The answer inside a sealed one, which itself must say nothing."""
        body = answer.json()
        assert set(body) == {"task_id", "status", "generated_by_ai", "iicp_conf_resp"}, body
        assert (body["task_id"], body["status"]) == (self.task_id, "encrypted"), body
        sealed = body["iicp_conf_resp"]
        assert sealed["version"] == 1, sealed
        nonce = decode(sealed["nonce"])
        key = derive(self.secret, nonce, "IICP-CX-RESP-v1" + self.task_id)
        return json.loads(AESGCM(key).decrypt(nonce, decode(sealed["encrypted_body"]), (self.task_id + "|resp").encode()))
