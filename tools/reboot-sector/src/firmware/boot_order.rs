//! Decides how our load option comes last in the UEFI boot order. Pure: variables in, writes out; nothing
//! is written when nothing would change, as the firmware's memory wears. The EFI part calls it.

use std::collections::BTreeMap;

use super::boot_option::LoadOption;

/// What the firmware's variables hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// BootOrder.
    pub order: Vec<u16>,
    /// Boot0000 to BootFFFF, those that are there.
    pub options: BTreeMap<u16, Vec<u8>>,
}

/// What is to be written, the option before the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The number of our option.
    pub number: u16,
    /// Its bytes, when they have to be written.
    pub option: Option<Vec<u8>>,
    /// The order, when it has to be written.
    pub order: Option<Vec<u16>>,
}

/// Why no option of ours can come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// All numbers are taken.
    #[error("the firmware has 65536 boot options already; remove one with efibootmgr -B")]
    NoNumber,
    /// Last would be first: the firmware takes the order from its start (UEFI 2.10, 3.1.1).
    #[error(
        "the boot order has no other option, so the firmware would start the application first, and \
         perhaps never the network; put the network's option into BootOrder, with efibootmgr -o or in \
         the firmware's setup, then install again"
    )]
    NothingBefore,
}

/// Plans to have `ours` last. An option with its description and file is taken for an older one of ours
/// and written over.
///
/// # Errors
/// When no number is free, and when nothing would come before it.
pub fn put_last(variables: &Variables, ours: &LoadOption) -> Result<Change, OrderError> {
    let old = find(variables, ours);
    let is_free =
        |number: &u16| !variables.options.contains_key(number) && !variables.order.contains(number);
    let number = old
        .or_else(|| (0..=u16::MAX).find(is_free))
        .ok_or(OrderError::NoNumber)?;
    let bytes = ours.emit();
    let mut order: Vec<u16> = without(&variables.order, number).collect();
    if order.is_empty() {
        return Err(OrderError::NothingBefore);
    }
    order.push(number);
    Ok(Change {
        number,
        option: (variables.options.get(&number) != Some(&bytes)).then_some(bytes),
        order: (order != variables.order).then_some(order),
    })
}

/// The order without our option, and its number; `None` when it is not there.
pub fn take_out(variables: &Variables, ours: &LoadOption) -> Option<(u16, Vec<u16>)> {
    let number = find(variables, ours)?;
    Some((number, without(&variables.order, number).collect()))
}

/// The number of our option; of several, the one on the partition that `ours` names, else the first.
pub fn find(variables: &Variables, ours: &LoadOption) -> Option<u16> {
    let options = variables.options.iter();
    let found = options.filter_map(|(number, bytes)| {
        let old = LoadOption::read(bytes)?;
        let is_ours = old.description == ours.description && old.file == ours.file;
        is_ours.then_some((*number, old))
    });
    let found: Vec<_> = found.collect();
    let here = found.iter().find(|(_, old)| old.names_partition_of(ours));
    here.or(found.first()).map(|(number, _)| *number)
}

fn without(order: &[u16], number: u16) -> impl Iterator<Item = u16> {
    order.iter().copied().filter(move |other| *other != number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::firmware::boot_option::Drive;
    use crate::table::gpt::Guid;

    fn ours() -> LoadOption {
        LoadOption {
            active: true,
            description: "reboot".into(),
            drive: None,
            file: Some("\\EFI\\x.efi".into()),
        }
    }

    fn apply(mut variables: Variables, change: Change) -> Variables {
        variables
            .options
            .extend(change.option.map(|bytes| (change.number, bytes)));
        variables.order = change.order.unwrap_or(variables.order);
        variables
    }

    proptest! {
        #[test]
        fn ours_comes_last_and_the_others_stay(
            order in prop::collection::vec(0_u16..12, 1..10),
            numbers in prop::collection::btree_set(0_u16..12, 0..10),
        ) {
            let options = numbers.into_iter().map(|number| (number, vec![7])).collect();
            let before = Variables { order, options };
            let change = put_last(&before, &ours()).unwrap();
            prop_assert!(!before.order.contains(&change.number));
            let number = change.number;
            let after = apply(before.clone(), change);
            prop_assert_eq!(&after.order[..before.order.len()], &before.order[..]);
            prop_assert_eq!(after.order.last(), Some(&number));
            for (old, bytes) in &before.options {
                prop_assert_eq!(&after.options[old], bytes);
            }
            // A second time there is nothing to write.
            let again = put_last(&after, &ours()).unwrap();
            prop_assert_eq!(again, Change { number, option: None, order: None });
            prop_assert_eq!(take_out(&after, &ours()), Some((number, before.order)));
        }
    }

    #[test]
    fn an_order_in_which_ours_would_be_alone_is_refused() {
        let mut variables = Variables::default();
        let refused = Err(OrderError::NothingBefore);
        assert_eq!(put_last(&variables, &ours()), refused);
        variables.options.insert(3, ours().emit());
        variables.order = vec![3];
        assert_eq!(put_last(&variables, &ours()), refused);
        variables.order = vec![3, 1];
        let change = put_last(&variables, &ours()).unwrap();
        assert_eq!(change.order, Some(vec![1, 3]));
    }

    #[test]
    fn of_several_the_one_on_this_partition_is_ours() {
        let on = |unique: u8| LoadOption {
            drive: Some(Drive {
                number: 1,
                first: 2048,
                sectors: 2048,
                unique: Guid([unique; 16]),
            }),
            ..ours()
        };
        let options = [(2, on(2).emit()), (3, ours().emit()), (5, on(1).emit())].into();
        let order = vec![2, 3, 5];
        let variables = Variables { order, options };
        assert_eq!(find(&variables, &on(1)), Some(5));
        assert_eq!(find(&variables, &on(2)), Some(2));
        assert_eq!(find(&variables, &on(7)), Some(2));
        assert_eq!(find(&variables, &ours()), Some(2));
    }

    #[test]
    fn an_older_one_is_renewed_in_its_place_and_moved_to_the_end() {
        let old = LoadOption {
            active: false,
            ..ours()
        };
        let options = BTreeMap::from([(3, old.emit())]);
        let before = Variables {
            order: vec![3, 1, 2],
            options,
        };
        let change = put_last(&before, &ours()).unwrap();
        let order = Some(vec![1, 2, 3]);
        assert_eq!(
            change,
            Change {
                number: 3,
                option: Some(ours().emit()),
                order
            }
        );
    }
}
