"""What visitors send: a line of the basket, and where an order goes."""

from __future__ import annotations

from django import forms


class LineForm(forms.Form):
    """Which line of the basket, and how many of it: 0 removes it."""

    line = forms.UUIDField()
    quantity = forms.IntegerField(min_value=0, max_value=9_999)


class DeliveryForm(forms.Form):
    """Who gets the parcel and where; kept with the order alone, never with telemetry."""

    name = forms.CharField(max_length=100, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    email = forms.EmailField(max_length=200, widget=forms.EmailInput(attrs={"autocomplete": "email"}))
    street = forms.CharField(
        max_length=150, label="Street and number", widget=forms.TextInput(attrs={"autocomplete": "street-address"})
    )
    postcode = forms.CharField(max_length=20, widget=forms.TextInput(attrs={"autocomplete": "postal-code"}))
    city = forms.CharField(max_length=100, widget=forms.TextInput(attrs={"autocomplete": "address-level2"}))
