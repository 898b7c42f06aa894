//! The two sides of an invoice.

/// Who sends invoices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Issuer {
    /// The legal name; empty where none was stated.
    pub name: String,
    /// Lines of its address.
    pub address: Vec<String>,
    /// Its tax number.
    pub tax_id: String,
    /// What is written below the total: when and how to pay.
    pub terms: String,
}

/// To whom the invoices of a tenant are addressed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Customer {
    /// The legal name; empty where the tenant's own stands for it.
    pub name: String,
    /// Lines of its address.
    pub address: Vec<String>,
    /// Its tax number.
    pub tax_id: String,
}
