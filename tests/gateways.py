"""Settings for ``app_with`` that take the payment gateways away."""

NO_OTHERS = dict.fromkeys(
    """RAZORPAY_KEY_ID RAZORPAY_KEY_SECRET RAZORPAY_WEBHOOK_SECRET
    PAYPAL_CLIENT_ID PAYPAL_CLIENT_SECRET PAYPAL_WEBHOOK_ID""".split()
)
NONE = {"STRIPE_SECRET_KEY": None, **NO_OTHERS}
