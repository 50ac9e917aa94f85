//! One shopper's visit to one vendor, step by step.

use super::chance::Chance;
use super::shop::Shop;

const CART_MAX: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    SeeVendor,
    SeeProduct,
    AddFavourite,
    RemoveFavourite,
    AddToCart,
    Order,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) product: u32,
    pub(super) quantity: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) id: u64,
    pub(super) tenant: u32,
    pub(super) vendor: u32,
    /// Not everybody who looks around has logged in.
    pub(super) customer: Option<u32>,
    /// What is on the screen.
    pub(super) product: Option<u32>,
    pub(super) cart: Vec<Item>,
    favourite: Option<u32>,
    steps_left: u64,
}

/// An order as it was created, for the day it is completed.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) number: u64,
    pub(super) session: Session,
}

impl Session {
    pub(super) fn new(shop: &Shop, chance: &mut Chance) -> Session {
        let tenant = shop.tenant(chance);
        let is_known = chance.below(100) < 85;
        Session {
            id: chance.next(),
            tenant,
            vendor: shop.vendor(tenant, chance),
            customer: is_known.then(|| shop.customer(tenant, chance)),
            product: None,
            cart: Vec::with_capacity(CART_MAX),
            favourite: None,
            steps_left: 2 + chance.below(18),
        }
    }

    /// What the shopper does next. The funnel is in the order of the arms.
    pub(super) fn step(&mut self, shop: &Shop, chance: &mut Chance) -> Step {
        self.steps_left = self.steps_left.saturating_sub(1);
        let dice = chance.below(100);
        let step = match self.product {
            None if dice < 30 => Step::SeeVendor,
            None | Some(_) if dice < 62 || self.product.is_none() => Step::SeeProduct,
            _ if dice < 70 && self.customer.is_some() => match self.favourite.take() {
                Some(favourite) if dice < 64 => {
                    self.product = Some(favourite);
                    Step::RemoveFavourite
                }
                _ => Step::AddFavourite,
            },
            _ if dice < 90 && self.cart.len() < CART_MAX => Step::AddToCart,
            _ if !self.cart.is_empty() && self.customer.is_some() => Step::Order,
            _ => Step::SeeProduct,
        };
        match step {
            Step::SeeProduct => self.product = Some(shop.product(self.vendor, chance)),
            Step::AddFavourite => self.favourite = self.product,
            Step::AddToCart => self.add_to_cart(1 + chance.below(3) as u32),
            Step::Order => self.steps_left = 0,
            Step::SeeVendor | Step::RemoveFavourite => {}
        }
        step
    }

    /// The same product twice is one line of the cart.
    fn add_to_cart(&mut self, quantity: u32) {
        let Some(product) = self.product else { return };
        match self.cart.iter_mut().find(|item| item.product == product) {
            Some(item) => item.quantity += quantity,
            None => self.cart.push(Item { product, quantity }),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.steps_left == 0
    }

    pub(super) fn order(&self, number: u64) -> Order {
        Order { number, session: self.clone() }
    }
}
