# A second implementation of the formats, apart from the crate: it wrote the golden vectors of the tests.
# python3 tests/golden.py   (needs the package `cryptography`)
import hmac, hashlib, struct
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
def ext(ikm): return hmac.new(b"lethe v1", ikm, hashlib.sha256).digest()
def exp(prk, info, n):
    t=b"";o=b"";i=1
    while len(o)<n:
        t=hmac.new(prk,t+info+bytes([i]),hashlib.sha256).digest(); o+=t; i+=1
    return o[:n]
def ent(seed, k): return hashlib.sha256(struct.pack(">QQ",seed,k)).digest()
tenant=bytes([0x11])*16; subject=bytes([0x22])*16; unit=bytes([0x33])*16; record=bytes([0x44])*16
def seal(prk, subject, unit, purpose, version, nonce, text):
    n=struct.pack(">H",purpose)
    key=exp(prk,b"lethe data key"+n,32); com=exp(prk,b"lethe commitment"+n,16)
    aad=b"LTHS\x01"+tenant+subject+unit+n+record+struct.pack(">I",version)
    return b"LTHS\x01"+n+struct.pack(">I",version)+subject+unit+com+nonce+AESGCM(key).encrypt(nonce,text,aad)
prk=ext(bytes([1])*32+bytes([2])*32)
print("sealed", seal(prk,subject,unit,2,7,ent(42,0)[:12],"Grüße".encode()).hex())
hk=exp(prk,b"lethe handed key"+struct.pack(">H",7),32)
print("handed", hk.hex())
print("census", seal(ext(hk),bytes(16),unit,7,1,ent(42,1)[:12],b"[]").hex())
# wrapped
tk=ext(bytes([5])*32)
b=b"LTHW\x01"+bytes([1])+struct.pack(">I",3)+tenant+subject
print("wrapped",(b+exp(tk,b"lethe wrap commitment",16)+ent(43,0)[:12]+AESGCM(exp(tk,b"lethe wrap key",32)).encrypt(ent(43,0)[:12],bytes([9])*32,b)).hex())
# blind index
print("mac",hmac.new(bytes([1])*32,b"lethe blind index"+bytes([2])+struct.pack(">H",1)+b"ada@example.org",hashlib.sha256).hexdigest())
