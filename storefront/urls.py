"""The addresses of the shop."""

from django.urls import path

from storefront import views

app_name = "storefront"

urlpatterns = [
    path("", views.home, name="home"),
    path("products/<slug:slug>", views.product_detail, name="product"),
    path("basket", views.basket_detail, name="basket"),
    path("basket/add", views.basket_add, name="basket-add"),
    path("basket/update", views.basket_update, name="basket-update"),
    path("checkout", views.checkout, name="checkout"),
    path("orders/<slug:reference>", views.order_detail, name="order"),
    path("staff/overlay", views.overlay_force, name="overlay-force"),
]
