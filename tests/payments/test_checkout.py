"""create-payment-intent: one payment per booking, of the booking's amount, whatever is asked how often."""

CREATE = "/api/payments/create-payment-intent"


def test_a_guest_gets_an_intent_of_the_bookings_amount(api, stripe, book):
    booking_id = book()
    answer = api.post(CREATE, {"bookingId": booking_id, "amount": 29999, "currency": "USD", "cardName": "ignored"})
    intent = stripe.get(answer["paymentIntentId"])
    assert answer == {
        "paymentIntentId": intent["id"],
        "clientSecret": intent["client_secret"],
        "amount": 29999,
        "currency": "usd",
        "status": "requires_payment_method",
        "transactionId": answer["transactionId"],
        "stripeCustomerId": None,
        "email": None,
        "name": None,
    }
    assert (intent["amount"], intent["customer"]) == (29999, None)
    assert intent["metadata"] == {"booking_id": booking_id, "transaction_id": answer["transactionId"]}


def test_thread(api, stripe, hook, staff, book, ledger):
    booking_id = book()
    intent = api.post(CREATE, {"bookingId": booking_id})["paymentIntentId"]
    stripe.confirm(intent)
    hook.deliver(intent)
    assert ledger.booking(booking_id) == ("Paid", "Confirmed")
    refund = staff().api.post("/api/payments/refund", {"bookingId": booking_id, "reason": "They fell ill"})
    assert refund == {"success": True, "refundId": refund["refundId"], "amount": 29999, "status": "succeeded"}
    hook.deliver(intent)
    assert ledger.booking(booking_id) == ("Refunded", "Confirmed")
    print(ledger.audit(booking_id), ledger.mails(booking_id))
