//! Who sells what: tenants, their vendors, their products and prices.

use super::chance::{Chance, Popularity, mix};

/// Keeps every number inside 32 bits.
const TENANTS_MAX: u32 = 100_000;
const VENDORS: u32 = 50;
const PRODUCTS: u32 = 20;
const CUSTOMERS: u32 = 5_000;

#[derive(Debug)]
pub(super) struct Shop {
    tenants: Popularity,
    vendors: Popularity,
    products: Popularity,
}

impl Shop {
    pub(super) fn new(tenants: u32) -> Shop {
        Shop {
            tenants: Popularity::new(tenants.clamp(1, TENANTS_MAX)),
            vendors: Popularity::new(VENDORS),
            products: Popularity::new(PRODUCTS),
        }
    }

    pub(super) fn tenant(&self, chance: &mut Chance) -> u32 {
        self.tenants.pick(chance)
    }

    /// The favourite is another one in every tenant.
    pub(super) fn vendor(&self, tenant: u32, chance: &mut Chance) -> u32 {
        tenant * VENDORS + (self.vendors.pick(chance) + tenant * 17) % VENDORS
    }

    pub(super) fn product(&self, vendor: u32, chance: &mut Chance) -> u32 {
        vendor * PRODUCTS + (self.products.pick(chance) + vendor * 7) % PRODUCTS
    }

    pub(super) fn customer(&self, tenant: u32, chance: &mut Chance) -> u32 {
        tenant * CUSTOMERS + chance.below(u64::from(CUSTOMERS)) as u32
    }

    /// Cents: 1.00 to 200.99, the same for every sale of a product.
    pub(super) fn price(&self, product: u32) -> u64 {
        100 + mix(u64::from(product)) % 20_000
    }
}
