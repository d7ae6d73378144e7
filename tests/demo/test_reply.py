from fairlead.demo.reply import JSON, error, reply_of


def test_a_body_is_one_piece_of_known_length():
    reply = reply_of(b"{}")
    assert (reply.status, reply.content_type, reply.pieces, reply.length) == (200, JSON, (b"{}",), 2)


def test_an_error_is_json_in_its_status():
    reply = error(404, "no", code="gone", param="model")
    assert reply.status == 404
    assert b"".join(reply.pieces) == (
        b'{"error":{"message":"no","type":"invalid_request_error","param":"model","code":"gone"}}'
    )
