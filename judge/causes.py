"""Usual causes: what an engineer looks for first when a case has failed.

Each is a kind of defect that was found in published code. A cause is named only when what was seen fits it.
"""

UNPROTECTED = "The key is not looked at, or not kept: every request is executed."
HIDDEN_EFFECT = "The stored answer is replayed, but the effect runs outside of the check: before it, in a background task or in a second system."
CHECK_THEN_INSERT = (
    "The key is looked up first and written later. Requests that come between the two all find nothing. "
    "Claim the key in one atomic step, for example with a unique index."
)
MEMORY_ONLY = "Keys are kept in the memory of the process: they are lost when it ends, and other processes do not see them."
EFFECT_BEFORE_KEY = (
    "The effect is committed before the key, in another transaction. A crash between the two leaves an effect that no key knows of. "
    "Commit both together."
)
KEY_BEFORE_EFFECT = (
    "The key is committed as done before the effect. A crash between the two leaves an answer without an effect. "
    "Commit both together."
)
LOST_EFFECT = "The answer is given before the effect is durable: it is still in memory, in a background task or in a queue that does not survive."
NOT_DURABLE = "The effect is not durable, or the start command makes the data anew."
STRANDED = (
    "The key is marked as in progress before the work, and the mark is taken away only by the process that set it. "
    "A crash leaves it, for ever or for as long as its lease. Claim the key in the transaction of the effect, or let the mark be taken over."
)
ERROR_AS_FINAL = (
    "An error of the server is stored as the answer of the key and replayed, or what was stored before the interruption is "
    "incomplete, and every retry fails on it. Store only what is final, and all of it at once."
)
PARTIAL_BODY = (
    "The key is spent, or the body fingerprinted, before the whole body has arrived. "
    "A caller that is cut off in the middle can never complete its request."
)
PAYLOAD_NOT_COMPARED = "Only the key is compared. Store a fingerprint of the payload with the key and refuse another one."
KEYS_SHARED = "The key alone is the key of the store. Make the caller's identity a part of it."
PATHS_SHARED = (
    "The key alone is the key of the store. Make the path a part of it, or of the fingerprint."
)
LOCK_EXPIRES = (
    "The mark or lock of a request in progress has a lifetime that is shorter than the handler. "
    "It expires while the request is still being executed, and a retry executes again."
)
EXPIRED_KEY = (
    "Keys are deleted after a time, and a retry that comes later is taken for a new request."
)
KEY_OPTIONAL = "A request without a usable key is executed without protection."
LATE_ORIGINAL = "The store does not see that the request which arrives late is the one that its retry has already completed."
NOT_ATOMIC_ANSWER = "The retry is answered by other code than the first request, or the answer is made anew and not stored with the key."
TRUNCATED_KEY = "Long keys are cut to the length of a column: two different keys become one."
REFUSED_RETRY = "The store remembers that the key was used, and not what was answered."
